"""Key encapsulation by X25519 and ML-KEM-768 together: secret while one of them is.

The construction is X-Wing, which HPKE knows as MLKEM768-X25519 (0x647a). `seal` and `unseal` are
HPKE itself with it. Every public key starts with the byte of its algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA3_256, SHAKE256, Hash

from qlq.errors import BadTag, RemoteMisuse, require

SEED_BYTES = 32
SECRET_BYTES = 32
_MLKEM_KEY_BYTES, _MLKEM_CIPHERTEXT_BYTES, _MLKEM_SEED_BYTES = 1184, 1088, 64
_X25519_BYTES = 32
KEY_BYTES = _MLKEM_KEY_BYTES + _X25519_BYTES
CIPHERTEXT_BYTES = _MLKEM_CIPHERTEXT_BYTES + _X25519_BYTES
SEALED_OVERHEAD_BYTES = CIPHERTEXT_BYTES + 16
_LABEL = b"\\.//^\\"
"""X-Wing's label, section 5.3 of the draft."""


class Algorithm(Enum):
    """Which algorithms encapsulate; the value is the first byte of a public key."""

    MLKEM768_X25519 = 1


@dataclass(frozen=True, slots=True)
class Encapsulated:
    """A fresh secret and what lets the owner of the key find it.

    Attributes:
        ciphertext: 1120 bytes, public.
        secret: 32 bytes.
    """

    ciphertext: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EncapsulationKey:
    """A public key: ML-KEM-768's 1184 bytes, then X25519's 32."""

    data: bytes
    algorithm: Algorithm = Algorithm.MLKEM768_X25519

    def __post_init__(self) -> None:
        """Refuse bytes of another length."""
        if len(self.data) != KEY_BYTES:
            raise ValueError(f"an encapsulation key has {KEY_BYTES} bytes, not {len(self.data)}")

    def to_bytes(self) -> bytes:
        """The algorithm's byte, then the key."""
        return bytes([self.algorithm.value]) + self.data

    @classmethod
    def from_bytes(cls, data: bytes) -> EncapsulationKey:
        """The key that `to_bytes` wrote; raises RemoteMisuse for anything else."""
        first = bytes([Algorithm.MLKEM768_X25519.value])
        require(data[:1] == first, "an encapsulation key of an unknown algorithm")
        require(len(data) == 1 + KEY_BYTES, f"an encapsulation key of {len(data) - 1} bytes")
        return cls(data[1:])

    def check(self) -> None:
        """Return if something can be encapsulated for this key.

        Raises:
            RemoteMisuse: The key is not one: a coefficient out of range, or a point of low order.
        """
        self.encapsulate()

    def encapsulate(self) -> Encapsulated:
        """A fresh secret for the owner of the key, from the operating system's randomness.

        Raises:
            RemoteMisuse: The key is not one: a coefficient out of range, or a point of low order.

        Source:
            draft-connolly-cfrg-xwing-kem, section 5.4; FIPS 203; RFC 7748.
        """
        ephemeral = X25519PrivateKey.generate()
        try:
            mlkem_key, x25519_key = self._parts()
            first, mlkem_ciphertext = mlkem_key.encapsulate()
            second = ephemeral.exchange(x25519_key)
        except ValueError as error:
            raise RemoteMisuse("the peer's encapsulation key is not a valid one") from error
        point = ephemeral.public_key().public_bytes_raw()
        secret = _combine(first, second, point=point, key_point=self.data[_MLKEM_KEY_BYTES:])
        return Encapsulated(mlkem_ciphertext + point, secret)

    def seal(self, plaintext: bytes, *, info: bytes) -> bytes:
        """The plaintext for the owner of the key alone, 1136 bytes longer.

        Args:
            plaintext: What is hidden. Who sealed it is not proved.
            info: What it is for; other texts do not open it.

        Raises:
            RemoteMisuse: The key is not a valid one.

        Source:
            RFC 9180 base mode with MLKEM768-X25519, HKDF-SHA256, AES-256-GCM.
        """
        try:
            key = hpke.MLKEM768X25519PublicKey(*self._parts())
            return _suite().encrypt(plaintext, key, info)
        except ValueError as error:
            raise RemoteMisuse("the peer's encapsulation key is not a valid one") from error

    def _parts(self) -> tuple[MLKEM768PublicKey, X25519PublicKey]:
        return (
            MLKEM768PublicKey.from_public_bytes(self.data[:_MLKEM_KEY_BYTES]),
            X25519PublicKey.from_public_bytes(self.data[_MLKEM_KEY_BYTES:]),
        )


@dataclass(frozen=True, slots=True)
class DecapsulationKey:
    """A private key. `repr` shows none of it.

    Attributes:
        seed: 32 secret bytes of full entropy that both keys follow from.
    """

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a seed of another length."""
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(self.seed)}")

    @property
    def encapsulation_key(self) -> EncapsulationKey:
        """The public key."""
        first, second = self._parts()
        return EncapsulationKey(
            first.public_key().public_bytes_raw() + second.public_key().public_bytes_raw()
        )

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The 32 bytes that `encapsulate` made together with this ciphertext.

        A changed ciphertext gives another secret, not an error: whoever needs to know that both
        sides have the same one lets them confirm it.

        Raises:
            RemoteMisuse: Another length, or a point of low order.

        Source:
            draft-connolly-cfrg-xwing-kem, section 5.5.
        """
        require(len(ciphertext) == CIPHERTEXT_BYTES, f"a ciphertext of {len(ciphertext)} bytes")
        first, second = self._parts()
        point = ciphertext[_MLKEM_CIPHERTEXT_BYTES:]
        try:
            mlkem_secret = first.decapsulate(ciphertext[:_MLKEM_CIPHERTEXT_BYTES])
            x25519_secret = second.exchange(X25519PublicKey.from_public_bytes(point))
        except ValueError as error:
            raise RemoteMisuse("the peer's ciphertext is not a valid one") from error
        own = second.public_key().public_bytes_raw()
        return _combine(mlkem_secret, x25519_secret, point=point, key_point=own)

    def unseal(self, sealed: bytes, *, info: bytes) -> bytes:
        """The plaintext that `EncapsulationKey.seal` hid.

        Raises:
            BadTag: Another key or info, changed or cut bytes.
        """
        key = hpke.MLKEM768X25519PrivateKey(*self._parts())
        try:
            return _suite().decrypt(sealed, key, info)
        except (InvalidTag, ValueError) as error:
            raise BadTag("sealed bytes do not open: another key, or changed bytes") from error

    def _parts(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        """Both keys from the seed; draft-connolly-cfrg-xwing-kem, section 5.2."""
        expansion = Hash(SHAKE256(_MLKEM_SEED_BYTES + _X25519_BYTES))
        expansion.update(self.seed)
        seeds = expansion.finalize()
        return (
            MLKEM768PrivateKey.from_seed_bytes(seeds[:_MLKEM_SEED_BYTES]),
            X25519PrivateKey.from_private_bytes(seeds[_MLKEM_SEED_BYTES:]),
        )


def _combine(mlkem: bytes, x25519: bytes, *, point: bytes, key_point: bytes) -> bytes:
    """One secret of two; draft-connolly-cfrg-xwing-kem, section 5.3.

    ML-KEM binds its own ciphertext and key to its secret; X25519 does not, so its are hashed.
    """
    combined = Hash(SHA3_256())
    combined.update(mlkem + x25519 + point + key_point + _LABEL)
    return combined.finalize()


def _suite() -> hpke.Suite:
    return hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
