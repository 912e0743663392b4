"""Checkpoints: how large the log of final blocks is and what its root is, signed by validators.

A checkpoint is a signed note that any reader of transparency logs understands:

    qlq.chain/<chain id, 64 hexadecimal digits>
    <size: height of the last block in the log>
    <base64 of the root over the hashes of blocks 1 to size>

The first line is the name of all keys that sign it, which tell themselves apart by their ids. A
validator signs final blocks only, so that it never signs two checkpoints that contradict each
other while no more than f validators lie. A checkpoint says nothing that a commit certificate of
its last block does not say better; it is what a reader keeps, and compares later ones with.

Source:
    C2SP tlog-checkpoint.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from qlq.consensus.validators import Validators
from qlq.crypto import note_signatures
from qlq.crypto.signing import SigningKey
from qlq.errors import BadSignature, InvalidProof
from qlq.faults import ProofFault
from qlq.ledger import merkle, note
from qlq.ledger.note import Note, NoteSignature

ORIGIN = "qlq.chain/"
_TEXT = re.compile(r"qlq\.chain/([0-9a-f]{64})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log at one size. Raises ValueError for a field outside its range.

    Attributes:
        chain: Chain id, 32 bytes.
        size: Blocks in the log, which is the height of the last one; 0 to 2^63 - 1.
        root: RFC 9162 root over their hashes, 32 bytes.
    """

    chain: bytes
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what no log has."""
        if len(self.chain) != merkle.HASH_BYTES or len(self.root) != merkle.HASH_BYTES:
            raise ValueError(
                f"a chain id of {len(self.chain)} and a root of {len(self.root)} bytes"
            )
        if not 0 <= self.size <= merkle.SIZE_MAX:
            raise ValueError(f"a log of {self.size} blocks")

    @property
    def origin(self) -> str:
        """What the log and its keys are called."""
        return ORIGIN + self.chain.hex()

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with signatures that nobody has verified yet."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def to_text(self) -> str:
        """The signed note."""
        return Note(self.checkpoint.text, self.signatures).to_text()


def sign(checkpoint: Checkpoint, keys: Sequence[SigningKey]) -> SignedCheckpoint:
    """The checkpoint, signed with each of these keys.

    Raises:
        ValueError: Without a key.
    """
    if not keys:
        raise ValueError("nobody signs this checkpoint")
    signatures = tuple(_signature(checkpoint, key) for key in keys)
    return SignedCheckpoint(checkpoint, signatures)


def join(one: SignedCheckpoint, other: SignedCheckpoint) -> SignedCheckpoint:
    """One checkpoint with the signatures of both.

    Raises:
        InvalidProof: They are not about one log at one size with one root.
    """
    if one.checkpoint != other.checkpoint:
        detail = f"{one.checkpoint.text!r} and {other.checkpoint.text!r}"
        raise InvalidProof(ProofFault.CHECKPOINT, f"two checkpoints: {detail}")
    added = tuple(found for found in other.signatures if found not in one.signatures)
    return SignedCheckpoint(one.checkpoint, one.signatures + added)


def decode(data: bytes) -> SignedCheckpoint:
    """The checkpoint in a signed note, its signatures not verified.

    Raises:
        InvalidProof: No signed note, or not about the log of a chain.
    """
    found = note.decode(data)
    match = _TEXT.fullmatch(found.text)
    if match is None:
        raise InvalidProof(ProofFault.MALFORMED, "a note that is no checkpoint of a chain")
    chain, size, root = match.groups()
    if int(size) > merkle.SIZE_MAX:
        raise InvalidProof(ProofFault.MALFORMED, f"a log of {size} blocks")
    read = Checkpoint(bytes.fromhex(chain), int(size), note.decode_base64(root))
    return SignedCheckpoint(read, found.signatures)


def signers(signed: SignedCheckpoint, *, validators: Validators) -> tuple[int, ...]:
    """Places of the validators who have signed, ascending, each once.

    Signatures of keys that are not theirs say nothing, and are passed over.

    Raises:
        InvalidProof: None of these validators has signed, or a signature of one does not fit.
    """
    name, text = signed.checkpoint.origin, signed.checkpoint.text.encode()
    ids = {
        note.key_id(name, validators.key(member.address)): place
        for place, member in enumerate(validators.members)
    }
    places: list[int] = []
    for one in signed.signatures:
        place = ids.get(one.key_id) if one.name == name else None
        if place is None:
            continue
        address = validators.members[place].address
        try:
            note_signatures.verify(validators.key(address), text, one.signature)
        except BadSignature as error:
            detail = f"of validator {address.hex()}: {error}"
            raise InvalidProof(ProofFault.SIGNATURE, detail) from error
        places.append(place)
    if not places:
        raise InvalidProof(ProofFault.SIGNATURE, "none of these validators signed the checkpoint")
    return tuple(sorted(set(places)))


def verifier_keys(chain: bytes, validators: Validators) -> tuple[str, ...]:
    """The validators' keys as readers of signed notes take them in, in the order of the set."""
    return tuple(
        note.verifier_key(ORIGIN + chain.hex(), validators.key(member.address))
        for member in validators.members
    )


def check_consistency(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Return if the log of the new checkpoint begins with all blocks of the old one.

    Args:
        old: Of the smaller log.
        new: Of the same log later.
        proof: `merkle.consistency_proof` over the hashes of blocks.

    Raises:
        InvalidProof: Two chains, or it cannot be seen from this proof.
    """
    if old.chain != new.chain:
        detail = f"of {old.chain.hex()} and {new.chain.hex()}"
        raise InvalidProof(ProofFault.CHAIN, f"checkpoints of two chains: {detail}")
    merkle.verify_consistency(
        old_size=old.size, new_size=new.size, old_root=old.root, new_root=new.root, proof=proof
    )


def _signature(checkpoint: Checkpoint, key: SigningKey) -> NoteSignature:
    name = checkpoint.origin
    made = note_signatures.sign(key, checkpoint.text.encode())
    return NoteSignature(name, note.key_id(name, key.verifying_key), made)
