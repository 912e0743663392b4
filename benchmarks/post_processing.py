"""Speed of the post-processing, each number beside a peer measured in the same run.

Cascade beside TNO's `qkd_key_rate` at the same length and error rate, Toeplitz hashing beside a
bare scipy convolution of the same size, authentication beside the bare Poly1305 of
`cryptography` over the same bytes.

    python benchmarks/post_processing.py [--json]
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import measuring
import numpy as np
from cryptography.hazmat.primitives.poly1305 import Poly1305
from scipy import fft

from qlq.crypto import mac
from qlq.numerics import toeplitz
from qlq.qkd import cascade

FRAME_BITS, SMALL_FRAME_BITS, QBER = 100_000, 10_000, 0.05
TOEPLITZ_BITS = 1_000_000
TRANSCRIPT_BYTES = 1_000_000
PEER_PACKAGE = "tno.quantum.communication.qkd_key_rate"
PEER_PROJECT = "tno.quantum.communication.qkd-key-rate"


def noisy_pair(bits: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Alice's key and Bob's, with exactly round(bits * QBER) errors."""
    alice = rng.integers(0, 2, bits, dtype=np.uint8)
    bob = alice.copy()
    bob[rng.choice(bits, round(bits * QBER), replace=False)] ^= 1
    return alice, bob


def reconcile(
    alice: np.ndarray, bob: np.ndarray, *, seed: bytes, variant: cascade.Variant
) -> cascade.Responder:
    """Both parties of one frame, permutations included; raises if the keys differ."""
    rule: dict[str, Any] = {"seed": seed, "variant": variant, "qber": QBER}
    responder = cascade.Responder(alice, **rule)
    corrector = cascade.Corrector(bob, **rule)
    while (request := corrector.next_request()) is not None:
        corrector.absorb(responder.answer(request))
    if not np.array_equal(corrector.corrected, alice):
        raise RuntimeError("a frame failed: choose another seed")
    return responder


def cascade_mbit_s(bits: int, variant: cascade.Variant) -> tuple[float, float]:
    """Mbit/s of both parties together, and the efficiency f of that frame."""
    rng = np.random.default_rng(1)
    alice, bob = noisy_pair(bits, rng)
    seeds = iter([rng.bytes(8) for _ in range(20)])
    parities: list[int] = []

    def frame() -> None:
        responder = reconcile(alice, bob, seed=next(seeds), variant=variant)
        parities.append(responder.answered_bits)

    seconds = measuring.best_time_s(frame, 7)
    f = cascade.efficiency(parities=round(np.mean(parities)), bits=bits, qber=QBER)
    return bits / seconds / 1e6, f


def peer_cascade_mbit_s(bits: int) -> float:
    """TNO's Cascade on a frame of this length, permutations included."""
    from tno.quantum.communication.qkd_key_rate.classical import (
        Message,
        ParityStrategy,
        Permutations,
    )
    from tno.quantum.communication.qkd_key_rate.classical.cascade import (
        CascadeCorrector,
        CascadeReceiver,
        CascadeSender,
    )

    passes = 4
    sent = Message.random_message(message_length=bits)
    received = sent.apply_errors(error_rate=QBER)

    def frame() -> None:
        strategy = ParityStrategy(error_rate=QBER, sampling_fraction=0.34, number_of_passes=passes)
        orders = Permutations.random_permutation(
            number_of_passes=passes, message_size=bits, random_state=1
        )
        alice = CascadeSender(message=sent, permutations=orders)
        bob = CascadeReceiver(message=received, permutations=orders, parity_strategy=strategy)
        CascadeCorrector(alice=alice, bob=bob).correct_errors()

    return bits / measuring.best_time_s(frame, 2) / 1e6


def peer_cascade(bits: int) -> dict[str, Any]:
    """The peer's speed, or the reason why it was not measured."""
    try:
        is_there = importlib.util.find_spec(PEER_PACKAGE) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        return {
            "reference": None,
            "reference_value": None,
            "reason": f"the peer is not installed: pip install {PEER_PROJECT}",
        }
    return {
        "reference": "Cascade of TNO qkd_key_rate",
        "reference_value": peer_cascade_mbit_s(bits),
    }


def measure_cascade() -> list[dict[str, Any]]:
    """Every variant at the size of our claim, and the default at a tenth of it."""
    peer, lines = peer_cascade(FRAME_BITS), []
    for variant in cascade.Variant:
        speed, f = cascade_mbit_s(FRAME_BITS, variant)
        lines.append(
            measuring.measurement(f"cascade_{variant}_{FRAME_BITS}", speed, "Mbit/s", **peer)
        )
        shannon = {"reference": "Shannon limit", "reference_value": 1.0}
        lines.append(measuring.measurement(f"cascade_{variant}_efficiency", f, "f", **shannon))
    small, _ = cascade_mbit_s(SMALL_FRAME_BITS, cascade.Variant.ORIGINAL)
    peer = peer_cascade(SMALL_FRAME_BITS)
    return [
        *lines,
        measuring.measurement(f"cascade_original_{SMALL_FRAME_BITS}", small, "Mbit/s", **peer),
    ]


def measure_toeplitz(*, output_bits: int, name: str) -> dict[str, Any]:
    """Hashing of a million bits beside the convolution alone, calls in turn."""
    rng, n = np.random.default_rng(2), TOEPLITZ_BITS
    key = rng.integers(0, 2, n, dtype=np.uint8)
    seed = rng.integers(0, 2, n + output_bits - 1, dtype=np.uint8)
    size = fft.next_fast_len(seed.size, real=True)

    def bare() -> object:
        return fft.irfft(fft.rfft(seed, size) * fft.rfft(key, size), size)

    def ours() -> object:
        return toeplitz.hash_bits(key, seed=seed, output_bits=output_bits)

    times = [(measuring.best_time_s(ours, 1), measuring.best_time_s(bare, 1)) for _ in range(8)]
    our_best, bare_best = (n / min(column) / 1e6 for column in zip(*times, strict=True))
    peer = {"reference": "bare scipy.fft convolution", "reference_value": bare_best}
    return measuring.measurement(name, our_best, "Mbit/s", **peer)


def measure_authentication() -> dict[str, Any]:
    """One tag over a megabyte, as a session makes it, beside the bare primitive."""
    text, key = os.urandom(TRANSCRIPT_BYTES), os.urandom(mac.KEY_BYTES)
    megabits = 8 * TRANSCRIPT_BYTES / 1e6
    ours = megabits / measuring.best_time_s(lambda: mac.tag(key, text), 30)
    bare = megabits / measuring.best_time_s(lambda: Poly1305.generate_tag(key, text), 30)
    peer = {"reference": "bare Poly1305 of cryptography", "reference_value": bare}
    return measuring.measurement(f"authentication_{TRANSCRIPT_BYTES}", ours, "Mbit/s", **peer)


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small=None)
    figures = [
        *measure_cascade(),
        measure_toeplitz(
            output_bits=TOEPLITZ_BITS // 2, name=f"amplification_toeplitz_{TOEPLITZ_BITS}"
        ),
        measure_toeplitz(output_bits=40, name=f"verification_toeplitz_{TOEPLITZ_BITS}"),
        measure_authentication(),
    ]
    measuring.show(figures, asked)


if __name__ == "__main__":
    main()
