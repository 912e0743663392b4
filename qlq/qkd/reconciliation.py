"""Information reconciliation as the parties see it: Cascade behind serialised messages.

`Asker` and `Answerer` own a running Cascade, which moves on with each message: a phase that
holds one is used once, as each phase is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qlq.errors import LeakageExceeded, require
from qlq.numerics import shuffles
from qlq.qkd import cascade, messages
from qlq.qkd.messages import ParityReply, ParityRequest
from qlq.qkd.parameters import Parameters, Reconciliation

_VARIANT = {
    Reconciliation.ORIGINAL: cascade.Variant.ORIGINAL,
    Reconciliation.BICONF: cascade.Variant.BICONF,
    Reconciliation.YANETAL: cascade.Variant.YANETAL,
}


@dataclass(frozen=True, slots=True, eq=False)
class Answerer:
    """Alice's side.

    Attributes:
        key: uint8 (key_rounds), her sifted key, which reconciliation does not change.
        leak_max_bits: What was committed to, both directions together.
    """

    key: NDArray[np.uint8] = field(repr=False)
    leak_max_bits: int
    responder: cascade.Responder = field(repr=False)

    @classmethod
    def start(
        cls, parameters: Parameters, key: NDArray[np.uint8], *, seed: bytes, qber: float
    ) -> Answerer:
        """Ready for the first request; both parties give the same seed and rate."""
        responder = cascade.Responder(
            key, seed=seed, variant=_VARIANT[parameters.reconciliation], qber=qber
        )
        return cls(key, parameters.leak_max_bits, responder)

    def answer(self, request: ParityRequest) -> ParityReply:
        """Parities of the ranges in the request.

        Raises:
            LeakageExceeded: Before a parity beyond the committed leakage leaves.
            RemoteMisuse: For ranges that do not exist.
        """
        count = len(request.passes) // 2
        charged = self.responder.leak_ec_bits + 2 * count
        if charged > self.leak_max_bits:
            raise _leakage_exceeded(charged, self.leak_max_bits)
        asked = cascade.Request(
            passes=messages.integers(request.passes, dtype="<u2", count=count).astype(np.uint16),
            starts=messages.integers(request.starts, dtype="<u4", count=count).astype(np.uint32),
            stops=messages.integers(request.stops, dtype="<u4", count=count).astype(np.uint32),
            parities=messages.unpack(request.parities, count=count).copy(),
        )
        return ParityReply(parities=messages.pack(self.responder.answer(asked)))


@dataclass(frozen=True, slots=True, eq=False)
class Asker:
    """Bob's side."""

    leak_max_bits: int
    corrector: cascade.Corrector = field(repr=False)
    open_count: int = 0

    @classmethod
    def start(
        cls, parameters: Parameters, key: NDArray[np.uint8], *, seed: bytes, qber: float
    ) -> Asker:
        """Ready to ask; raises RemoteMisuse for a seed of another length."""
        require(len(seed) == shuffles.SEED_BYTES, f"a seed of {len(seed)} bytes")
        corrector = cascade.Corrector(
            key, seed=seed, variant=_VARIANT[parameters.reconciliation], qber=qber
        )
        return cls(parameters.leak_max_bits, corrector)

    def ask(self) -> tuple[Asker, ParityRequest | None]:
        """The next request, or None when no question is left.

        Raises:
            LeakageExceeded: If the request would pass the committed leakage.
        """
        asked = self.corrector.next_request()
        if asked is None:
            return Asker(self.leak_max_bits, self.corrector), None
        if self.corrector.leak_ec_bits + asked.passes.size > self.leak_max_bits:
            raise _leakage_exceeded(
                self.corrector.leak_ec_bits + asked.passes.size, self.leak_max_bits
            )
        request = ParityRequest(
            passes=asked.passes.astype("<u2").tobytes(),
            starts=asked.starts.astype("<u4").tobytes(),
            stops=asked.stops.astype("<u4").tobytes(),
            parities=messages.pack(asked.parities),
        )
        return Asker(self.leak_max_bits, self.corrector, asked.passes.size), request

    def absorb(self, reply: ParityReply) -> None:
        """Take Alice's answer; raises RemoteMisuse for another length, or an answer to nothing."""
        require(self.open_count > 0, "parities that nobody asked for")
        self.corrector.absorb(messages.unpack(reply.parities, count=self.open_count))


def _leakage_exceeded(bits: int, limit: int) -> LeakageExceeded:
    return LeakageExceeded(
        f"reconciliation would reveal {bits} bits, {limit} committed: "
        "the error rate is above the tolerated one, or the estimate was far off"
    )
