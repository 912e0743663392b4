"""Secret keys and entropy, with what they are worth."""

from __future__ import annotations

from dataclasses import dataclass, field

from qlq.provenance import Claim, EntropyTier, Provenance


@dataclass(frozen=True, slots=True)
class Worth:
    """What a key may be used for.

    Attributes:
        claim: The level that nothing may raise.
        secret_against: Whom the key is secret against, in words.
        entropy_cap_bits: Upper limit of the key's entropy, None if the theorem alone limits it.
    """

    claim: Claim
    secret_against: tuple[str, ...]
    entropy_cap_bits: int | None

    @property
    def protects_alone(self) -> bool:
        """Whether the key may protect anything without a post-quantum secret beside it."""
        return self.claim >= Claim.TWO_NODE


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that one party may use. `repr` shows none of its bytes.

    Attributes:
        material: The key, packed big-endian within bytes; the last byte is padded with zeros.
        length_bits: Number of valid bits.
        key_id: UUID text, the same on both sides; None for reproducible (seeded) keys.
        eps_sec: Secrecy epsilon of the session.
        eps_cor: Correctness epsilon of the session.
        eps_auth: Epsilon of the authentication tags, those of earlier keys included.
        provenance: Origin of the raw bits.
        worth: What the key may be used for.
    """

    material: bytes = field(repr=False)
    length_bits: int
    key_id: str | None
    eps_sec: float
    eps_cor: float
    eps_auth: float
    provenance: Provenance = field(repr=False)
    worth: Worth

    def __post_init__(self) -> None:
        """Refuse a length that does not fit the bytes."""
        if not 0 < self.length_bits <= 8 * len(self.material) < self.length_bits + 8:
            raise ValueError(
                f"{self.length_bits} bits do not fit {len(self.material)} bytes of key"
            )


@dataclass(frozen=True, slots=True)
class EntropyBlock:
    """Random bytes with what may be claimed of them. `repr` shows none of the bytes.

    Attributes:
        material: The bytes.
        min_entropy_bits: Claimed min-entropy of all bytes together, 0 to 8 for each byte; 0 in
            tier T0.
        tier: What the claim rests on; nothing made from the block may have a higher one.
        reasons: Why the claim is what it is, in words; at least one sentence.
        certificate_id: SHA-256 (hex) of the record that the claim rests on, None without one.
        provenance: Origin of the raw bits, one entry for each job; empty for the operating system.
    """

    material: bytes = field(repr=False)
    min_entropy_bits: float
    tier: EntropyTier
    reasons: tuple[str, ...]
    certificate_id: str | None
    provenance: tuple[Provenance, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a claim that the bytes cannot hold or the tier does not allow."""
        if not 0 <= self.min_entropy_bits <= 8 * len(self.material):
            raise ValueError(
                f"{len(self.material)} bytes cannot hold {self.min_entropy_bits} bits of entropy"
            )
        if self.tier is EntropyTier.NONE and self.min_entropy_bits:
            raise ValueError(f"tier {self.tier.label} claims 0 bits, not {self.min_entropy_bits}")
        if not self.reasons:
            raise ValueError("a claim needs at least one reason, in words")
