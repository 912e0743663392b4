"""Signatures: ML-DSA-65 by default, Ed25519, or both together where both must verify.

Every key and every signature starts with the byte of its algorithm. A signature is made for a
context, the text of its one use, so that what was signed for one use says nothing in another:

    ML-DSA-65   signs the message; the context is the algorithm's own
    Ed25519     signs PREFIX || length of the context (1 byte) || context || message
    hybrid      both algorithms sign PREFIX || length || context || message, ML-DSA with PREFIX
                as its own context, so that neither half is a signature of its own algorithm
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from qlq.crypto import kdf
from qlq.errors import BadSignature, RemoteMisuse

SEED_BYTES = 32
CONTEXT_BYTES_MAX = 255
"""FIPS 204 section 5.2: the length of a context is one byte."""

ED25519_PREFIX = b"qlq Ed25519 1"
HYBRID_PREFIX = b"qlq ML-DSA-65 and Ed25519 1"

_MLDSA_KEY_BYTES, _MLDSA_SIGNATURE_BYTES = 1952, 3309
_ED25519_KEY_BYTES, _ED25519_SIGNATURE_BYTES = 32, 64


class Algorithm(Enum):
    """Which algorithm signs; the value is the first byte of its keys and signatures."""

    ML_DSA_65 = 1
    ED25519 = 2
    HYBRID = 3

    @property
    def word(self) -> str:
        """The algorithm as commands and documents name it, for example `ml-dsa-65`."""
        return self.name.lower().replace("_", "-")

    @property
    def key_bytes(self) -> int:
        """Length of a public key, without the algorithm's byte."""
        match self:
            case Algorithm.ML_DSA_65:
                return _MLDSA_KEY_BYTES
            case Algorithm.ED25519:
                return _ED25519_KEY_BYTES
            case Algorithm.HYBRID:
                return _MLDSA_KEY_BYTES + _ED25519_KEY_BYTES

    @property
    def signature_bytes(self) -> int:
        """Length of a signature, without the algorithm's byte."""
        match self:
            case Algorithm.ML_DSA_65:
                return _MLDSA_SIGNATURE_BYTES
            case Algorithm.ED25519:
                return _ED25519_SIGNATURE_BYTES
            case Algorithm.HYBRID:
                return _MLDSA_SIGNATURE_BYTES + _ED25519_SIGNATURE_BYTES


_BY_BYTE = {bytes([algorithm.value]): algorithm for algorithm in Algorithm}


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key.

    Attributes:
        algorithm: What it verifies.
        data: The key's own bytes; hybrid: ML-DSA-65's, then Ed25519's.
    """

    algorithm: Algorithm
    data: bytes

    def __post_init__(self) -> None:
        """Refuse bytes of another length."""
        if len(self.data) != self.algorithm.key_bytes:
            raise ValueError(
                f"a key of {self.algorithm.name} has {self.algorithm.key_bytes} bytes, "
                f"not {len(self.data)}"
            )

    def to_bytes(self) -> bytes:
        """The algorithm's byte, then the key."""
        return bytes([self.algorithm.value]) + self.data

    @classmethod
    def from_bytes(cls, data: bytes) -> VerifyingKey:
        """The key that `to_bytes` wrote; raises RemoteMisuse for anything else."""
        algorithm = _BY_BYTE.get(data[:1])
        if algorithm is None:
            raise RemoteMisuse("a key of an unknown algorithm")
        try:
            return cls(algorithm, data[1:])
        except ValueError as error:
            raise RemoteMisuse(str(error)) from error

    def verify(self, message: bytes, signature: bytes, *, context: bytes) -> None:
        """Return if the signature fits; hybrid: if both do.

        Args:
            message: What was signed.
            signature: As `SigningKey.sign` made it.
            context: The use it was made for, 1 to 255 bytes.

        Raises:
            BadSignature: Another key, message, context or algorithm, or changed bytes.
            ValueError: For a context of another length.
        """
        _check_context(context)
        expected = 1 + self.algorithm.signature_bytes
        if signature[:1] != bytes([self.algorithm.value]) or len(signature) != expected:
            raise BadSignature(f"not a signature of {self.algorithm.name}: {len(signature)} bytes")
        try:
            self._verify(message, signature[1:], context)
        except (InvalidSignature, ValueError) as error:
            raise BadSignature(
                f"the {self.algorithm.name} signature does not fit: another key, another "
                "message, or changed bytes"
            ) from error

    def _verify(self, message: bytes, signature: bytes, context: bytes) -> None:
        match self.algorithm:
            case Algorithm.ML_DSA_65:
                MLDSA65PublicKey.from_public_bytes(self.data).verify(signature, message, context)
            case Algorithm.ED25519:
                framed = _framed(ED25519_PREFIX, context, message)
                Ed25519PublicKey.from_public_bytes(self.data).verify(signature, framed)
            case Algorithm.HYBRID:
                framed = _framed(HYBRID_PREFIX, context, message)
                first, second = self.data[:_MLDSA_KEY_BYTES], self.data[_MLDSA_KEY_BYTES:]
                cut = _MLDSA_SIGNATURE_BYTES
                MLDSA65PublicKey.from_public_bytes(first).verify(
                    signature[:cut], framed, HYBRID_PREFIX
                )
                Ed25519PublicKey.from_public_bytes(second).verify(signature[cut:], framed)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key. `repr` shows none of it.

    Attributes:
        algorithm: What it signs with.
        seed: 32 secret bytes of full entropy that everything follows from. ML-DSA-65 and
            Ed25519 take them as their own seed; the hybrid derives one for each by HKDF.
    """

    algorithm: Algorithm
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a seed of another length."""
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(self.seed)}")

    @property
    def verifying_key(self) -> VerifyingKey:
        """The public key."""
        data = b""
        if self.algorithm is not Algorithm.ED25519:
            data += self._ml_dsa().public_key().public_bytes_raw()
        if self.algorithm is not Algorithm.ML_DSA_65:
            data += self._ed25519().public_key().public_bytes_raw()
        return VerifyingKey(self.algorithm, data)

    def sign(self, message: bytes, *, context: bytes) -> bytes:
        """The algorithm's byte and the signature; ML-DSA-65 signs with fresh randomness.

        Args:
            message: What is signed.
            context: The one use of this signature, 1 to 255 bytes.

        Raises:
            ValueError: For a context of another length.

        Source:
            FIPS 204 algorithm 2 (hedged); RFC 8032 section 5.1.6.
        """
        _check_context(context)
        return bytes([self.algorithm.value]) + self._sign(message, context)

    def _sign(self, message: bytes, context: bytes) -> bytes:
        match self.algorithm:
            case Algorithm.ML_DSA_65:
                return self._ml_dsa().sign(message, context)
            case Algorithm.ED25519:
                return self._ed25519().sign(_framed(ED25519_PREFIX, context, message))
            case Algorithm.HYBRID:
                framed = _framed(HYBRID_PREFIX, context, message)
                first = self._ml_dsa().sign(framed, HYBRID_PREFIX)
                return first + self._ed25519().sign(framed)

    def _ml_dsa(self) -> MLDSA65PrivateKey:
        return MLDSA65PrivateKey.from_seed_bytes(self._part(b"ML-DSA-65"))

    def _ed25519(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._part(b"Ed25519"))

    def _part(self, name: bytes) -> bytes:
        """The seed of one algorithm; the two of a hybrid key do not tell of each other."""
        if self.algorithm is not Algorithm.HYBRID:
            return self.seed
        return kdf.hkdf(self.seed, info=b"qlq hybrid signing seed 1 " + name, length=SEED_BYTES)


def _check_context(context: bytes) -> None:
    if not 1 <= len(context) <= CONTEXT_BYTES_MAX:
        raise ValueError(
            f"a context has 1 to {CONTEXT_BYTES_MAX} bytes, not {len(context)}: every use has one"
        )


def _framed(prefix: bytes, context: bytes, message: bytes) -> bytes:
    return prefix + bytes([len(context)]) + context + message
