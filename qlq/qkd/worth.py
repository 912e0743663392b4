"""What a key is worth: its claim, whom it is secret against, and what was assumed."""

from __future__ import annotations

from qlq.keys import Worth
from qlq.provenance import Claim, Provenance, weakest
from qlq.qkd.parameters import Parameters, Protocol
from qlq.qkd.settings import SEED_BYTES


def value(
    parameters: Parameters, provenances: tuple[Provenance, ...], *, reproducible: bool
) -> Worth:
    """The worth of the key of a session.

    Args:
        parameters: What was committed to.
        provenances: Of all jobs of the session.
        reproducible: Whether every choice followed from a seed that the operator typed.
    """
    claim = weakest(tuple(p.claim for p in provenances))
    if reproducible:
        return Worth(claim, (), 0)
    return Worth(claim, secret_against(claim), _entropy_cap_bits(parameters, provenances))


def secret_against(claim: Claim) -> tuple[str, ...]:
    """Whom a key with this claim is secret against, in words."""
    match claim:
        case Claim.TWO_NODE:
            return ("anyone outside the two nodes, under the assumptions of the theorem",)
        case Claim.SAME_CHIP:
            return ("readers of the classical channel, except the device's operator",)
        case Claim.SIMULATION:
            return ("readers of the classical channel, except who can guess the simulator's seed",)
        case _:
            return ("readers of the classical channel with bounded computers",)


def _entropy_cap_bits(parameters: Parameters, provenances: tuple[Provenance, ...]) -> int | None:
    """Most entropy the key can have, from the generators behind the raw bits.

    BB84: the raw bits are Alice's, from her 256-bit seed. E91: they are the device's; a
    simulator's seed caps them.
    """
    if parameters.protocol is Protocol.BB84:
        return 8 * SEED_BYTES
    caps = [p.entropy_cap_bits for p in provenances if p.entropy_cap_bits is not None]
    return sum(caps) if caps else None


def assumptions(parameters: Parameters) -> tuple[str, ...]:
    """What the theorem takes for granted and the session does not show."""
    common = (
        "both devices do what their circuit says: no side channel, no other degree of freedom",
        "the probability of an outcome does not depend on the basis; every pulse gives one",
        "settings come from ChaCha20 generators of 256 bits of operating-system entropy each",
        "the parties' memories are not read",
        "reconciliation: every parity that either party announced is charged",
    )
    if parameters.protocol is Protocol.E91:
        return (
            *common,
            "Bob's key and test settings are mutually unbiased (overlap 1/2)",
            "S is a witness, not the source of the key length",
        )
    return (*common, "Alice's source sends one qubit in exactly the four BB84 states")


def sentence(worth: Worth) -> str:
    """One line for people: what the key is worth."""
    if worth.entropy_cap_bits == 0:
        return (
            f"Worth: {worth.claim.label}; made from a typed seed, so it is secret against nobody."
        )
    cap = (
        ""
        if worth.entropy_cap_bits is None
        else f" (entropy at most {worth.entropy_cap_bits} bits)"
    )
    alone = "" if worth.protects_alone else "; never used without a post-quantum secret beside it"
    against = " and ".join(worth.secret_against)
    return f"Worth: {worth.claim.label}{cap}; secret against {against}{alone}."
