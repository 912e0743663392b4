"""Sealed transactions: the envelope for transport, which validators open before admission.

The signed transaction is encrypted under a random content key. For each validator the content
key is wrapped

    QKD          under a quantum-distributed key of that link; claim `two-node` only
    QKD_AND_PQ   under that key and an X-Wing secret together: safe while one of them is
    PQ           by HPKE with ML-KEM-768 and X25519

The sender signs how it sealed (`Draft.seals`), so that nobody can weaken a seal unseen. What a
validator needs to refuse cheaply stays clear: sender, nonce, expiry, fee. They are bound to the
ciphertext, and must be those of the transaction inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from qlq import codec
from qlq.crypto import aead, digest, kdf
from qlq.crypto.kem import DecapsulationKey, EncapsulationKey
from qlq.errors import BadTag, InvalidTransaction, RemoteMisuse
from qlq.faults import TransactionFault
from qlq.ledger import transaction
from qlq.ledger.operations import ID_BYTES
from qlq.ledger.transaction import COUNT_MAX, READERS_MAX, SealKind, SealRecord, SignedTransaction
from qlq.provenance import Claim

CONTENT_KEY_BYTES = aead.KEY_BYTES
LINK_KEY_BITS_MIN = 256
WRAP_BYTES_MAX = 4096
SALT_BYTES = 32
_BODY_NAME = b"qlq/sealed-tx/1"
_WRAP_NAME = b"qlq/seal-wrap/1"
_COMMIT_NAME = b"qlq/commitment/1"
_NONCE = bytes(aead.NONCE_BYTES)
"""Each content key is random, and each wrapping key is derived from a key that is used once, so
that no nonce meets a key twice."""


class Wrap(msgspec.Struct, frozen=True, array_like=True):
    """The content key for one validator.

    Attributes:
        encapsulated: X-Wing ciphertext of kind QKD_AND_PQ, else empty.
        wrapped: The content key, sealed.
    """

    encapsulated: bytes
    wrapped: bytes


class SealedTransaction(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A signed transaction that validators can open, and nobody else.

    Attributes:
        chain, sender, nonce, valid_until, fee, seals: As in the draft inside.
        wraps: One for each seal.
        ciphertext: The signed transaction.
    """

    chain: bytes
    sender: bytes
    nonce: int
    valid_until: int
    fee: int
    seals: tuple[SealRecord, ...]
    wraps: tuple[Wrap, ...]
    ciphertext: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return codec.encode(self)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes under a name: tells one envelope from another."""
        return digest.named(_BODY_NAME, self.to_bytes())

    @property
    def clear(self) -> bytes:
        """What is bound to the ciphertext and not hidden."""
        parts = (self.chain, self.sender, self.nonce, self.valid_until, self.fee, self.seals)
        return _BODY_NAME + codec.encode(parts)


@dataclass(frozen=True, slots=True)
class LinkKey:
    """A quantum-distributed key of the link to one validator. `repr` shows none of it.

    Attributes:
        key_id: 16 bytes of its UUID.
        claim: What it may be claimed to be.
        material: Its bytes; at least 256 bits.
    """

    key_id: bytes
    claim: Claim
    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a key that is too short to wrap another one."""
        if 8 * len(self.material) < LINK_KEY_BITS_MIN:
            bits = 8 * len(self.material)
            raise ValueError(f"a link key has {LINK_KEY_BITS_MIN} bits or more, not {bits}")


@dataclass(frozen=True, slots=True)
class Reader:
    """A validator that will open, and what its copy of the content key is wrapped under.

    Attributes:
        address: Of the validator.
        key: Its encapsulation key.
        link: A key of the link to it; None where there is none.
    """

    address: bytes
    key: EncapsulationKey
    link: LinkKey | None

    @property
    def record(self) -> SealRecord:
        """What the sender signs about this reader's seal."""
        if self.link is None:
            return SealRecord(self.address, SealKind.PQ, b"", 0)
        alone = self.link.claim >= Claim.TWO_NODE
        kind = SealKind.QKD if alone else SealKind.QKD_AND_PQ
        return SealRecord(self.address, kind, self.link.key_id, int(self.link.claim))


def records(readers: tuple[Reader, ...]) -> tuple[SealRecord, ...]:
    """What a draft holds in `seals`; readers in ascending order of their addresses."""
    return tuple(reader.record for reader in readers)


def seal(
    signed: SignedTransaction, readers: tuple[Reader, ...], *, content_key: bytes
) -> SealedTransaction:
    """The transaction for these readers alone.

    Args:
        signed: Its draft's `seals` are `records(readers)`.
        readers: All validators, in ascending order of their addresses.
        content_key: 32 random bytes, for this transaction alone.

    Raises:
        ValueError: The draft says something else about its seals.
        RemoteMisuse: A reader's encapsulation key is not a valid one.
    """
    draft = signed.draft
    if draft.seals != records(readers) or not readers:
        raise ValueError("the draft does not say how it is sealed")
    bare = SealedTransaction(
        chain=draft.chain,
        sender=draft.sender,
        nonce=draft.nonce,
        valid_until=draft.valid_until,
        fee=draft.fee,
        seals=draft.seals,
        wraps=(),
        ciphertext=b"",
    )
    clear = bare.clear
    return msgspec.structs.replace(
        bare,
        wraps=tuple(_wrap(reader, content_key, clear) for reader in readers),
        ciphertext=aead.seal(content_key, signed.to_bytes(), nonce=_NONCE, aad=clear),
    )


def _wrap(reader: Reader, content_key: bytes, clear: bytes) -> Wrap:
    record = reader.record
    info = _info(record, clear)
    if reader.link is None:
        return Wrap(b"", reader.key.seal(content_key, info=info))
    encapsulated, secret = b"", b""
    if record.kind == SealKind.QKD_AND_PQ:
        made = reader.key.encapsulate()
        encapsulated, secret = made.ciphertext, made.secret
    key = _wrapping_key(reader.link.material, secret, info)
    return Wrap(encapsulated, aead.seal(key, content_key, nonce=_NONCE, aad=info))


def _info(record: SealRecord, clear: bytes) -> bytes:
    """What a wrapped content key is for: this envelope and this reader."""
    return _WRAP_NAME + codec.encode((record, digest.sha256(clear)))


def _wrapping_key(material: bytes, secret: bytes, info: bytes) -> bytes:
    """HKDF over the link key and, where there is one, the hybrid secret, lengths first."""
    both = b"".join(len(part).to_bytes(4, "big") + part for part in (material, secret))
    return kdf.hkdf(both, info=info, length=aead.KEY_BYTES)


def decode(data: bytes, *, bytes_max: int) -> SealedTransaction:
    """The envelope in these bytes; nothing in it is opened yet.

    Raises:
        InvalidTransaction: Too large, not canonical, or a field outside its range.
    """
    if len(data) > bytes_max:
        detail = f"{len(data)} bytes; at most {bytes_max}"
        raise InvalidTransaction(TransactionFault.SEAL_TOO_LARGE, detail)
    try:
        sealed: SealedTransaction = codec.decode(data, SealedTransaction)
    except RemoteMisuse as error:
        raise InvalidTransaction(TransactionFault.MALFORMED, str(error)) from error
    fits = (
        len(sealed.chain) == len(sealed.sender) == ID_BYTES
        and 0 < len(sealed.seals) == len(sealed.wraps) <= READERS_MAX
        and all(0 <= count <= COUNT_MAX for count in (sealed.nonce, sealed.valid_until, sealed.fee))
        and all(
            len(wrap.encapsulated) + len(wrap.wrapped) <= WRAP_BYTES_MAX for wrap in sealed.wraps
        )
    )
    if not fits:
        raise InvalidTransaction(TransactionFault.MALFORMED, "an envelope out of its bounds")
    transaction.check_seals(sealed.seals)
    return sealed


@dataclass(frozen=True, slots=True)
class Opener:
    """What one validator opens envelopes with.

    Attributes:
        address: Its address.
        key: Its decapsulation key.
    """

    address: bytes
    key: DecapsulationKey = field(repr=False)

    def own_seal(self, sealed: SealedTransaction) -> tuple[SealRecord, Wrap]:
        """The seal that is for this validator; raises InvalidTransaction if none is."""
        for record, wrap in zip(sealed.seals, sealed.wraps, strict=True):
            if record.reader == self.address:
                return record, wrap
        detail = f"validator {self.address.hex()} is not among the readers"
        raise InvalidTransaction(TransactionFault.SEAL_NOT_FOR_US, detail)


def unseal(
    sealed: SealedTransaction, opener: Opener, link_key: Callable[[bytes], LinkKey]
) -> SignedTransaction:
    """The transaction inside, statically checked; its signatures are not verified yet.

    Args:
        sealed: The envelope.
        opener: This validator.
        link_key: Gives the link key with this 16-byte id; it is to be counted as used only when
            this function returns.

    Raises:
        InvalidTransaction: It does not open, or holds something else than it says outside.
    """
    record, wrap = opener.own_seal(sealed)
    clear = sealed.clear
    try:
        content_key = _unwrap(record, wrap, opener, _info(record, clear), link_key)
        plain = aead.unseal(content_key, sealed.ciphertext, aad=clear)
    except (BadTag, RemoteMisuse, ValueError) as error:
        raise InvalidTransaction(TransactionFault.SEAL_BROKEN, str(error)) from error
    signed = transaction.decode(plain)
    draft = signed.draft
    inside = (draft.chain, draft.sender, draft.nonce, draft.valid_until, draft.fee, draft.seals)
    outside = (
        *(sealed.chain, sealed.sender, sealed.nonce),
        *(sealed.valid_until, sealed.fee, sealed.seals),
    )
    if inside != outside:
        detail = "the envelope says something else than the transaction inside"
        raise InvalidTransaction(TransactionFault.SEAL_MISMATCH, detail)
    return signed


def _unwrap(
    record: SealRecord,
    wrap: Wrap,
    opener: Opener,
    info: bytes,
    link_key: Callable[[bytes], LinkKey],
) -> bytes:
    if record.kind == SealKind.PQ:
        return opener.key.unseal(wrap.wrapped, info=info)
    link, secret = link_key(record.key_id), b""
    if record.claim > link.claim:
        detail = f"the sender claims more of the key than {link.claim.label!r}"
        raise InvalidTransaction(TransactionFault.SEAL_POLICY, detail)
    if record.kind == SealKind.QKD_AND_PQ:
        secret = opener.key.decapsulate(wrap.encapsulated)
    key = _wrapping_key(link.material, secret, info)
    return aead.unseal(key, wrap.wrapped, aad=info)


def commit(data: bytes, salt: bytes) -> bytes:
    """The commitment to data that stay outside the chain.

    Args:
        data: What is committed to.
        salt: 32 random bytes that are kept with the data, and destroyed with them: what is left
            then confirms no guess.

    Raises:
        ValueError: For a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return digest.named(_COMMIT_NAME, salt + data)
