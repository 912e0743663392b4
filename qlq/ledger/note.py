"""Signed notes: a text, an empty line, and one line for each signature.

    — <name of the key> <base64 of 4 bytes of key id, then the signature>

Parsing is strict: UTF-8, no control character but the newline, base64 in its one form. What is
accepted is written again byte for byte.

Source:
    C2SP signed-note, v1.0.0.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from qlq.crypto import digest, note_signatures
from qlq.crypto.signing import VerifyingKey
from qlq.errors import InvalidProof
from qlq.faults import ProofFault

NOTE_BYTES_MAX = 1 << 20
SIGNATURES_MAX = 100
KEY_ID_BYTES = 4
_DASH = "\N{EM DASH} "
_CONTROLS_END = 0x20


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature; nobody has verified it yet.

    Attributes:
        name: Of the key: not empty, no spaces, no plus.
        key_id: 4 bytes that tell keys of one name apart. They prove nothing.
        signature: Its bytes.
    """

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures.

    Attributes:
        text: What is signed, its last newline included.
        signatures: 1 to 100.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_text(self) -> str:
        """The note as it is written."""
        return self.text + "\n" + "".join(_line(one) for one in self.signatures)


def key_id(name: str, key: VerifyingKey) -> bytes:
    """The id of a key under a name, 4 bytes."""
    kind = note_signatures.type_of(key.algorithm)
    return digest.sha256(name.encode() + b"\n" + kind + key.data)[:KEY_ID_BYTES]


def verifier_key(name: str, key: VerifyingKey) -> str:
    """The one line by which readers of notes take in a public key."""
    kind = note_signatures.type_of(key.algorithm)
    encoded = base64.b64encode(kind + key.data).decode()
    return f"{name}+{key_id(name, key).hex()}+{encoded}"


def decode(data: bytes) -> Note:
    """The note in these bytes, its signatures not verified.

    Raises:
        InvalidProof: Malformed.
    """
    if len(data) > NOTE_BYTES_MAX:
        raise _fault(f"{len(data)} bytes; a note has at most {NOTE_BYTES_MAX}")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _fault(f"not UTF-8: {error}") from error
    if any(ord(character) < _CONTROLS_END and character != "\n" for character in whole):
        raise _fault("a control character other than the newline")
    text, gap, lines = whole.rpartition("\n\n")
    if not (gap and text and lines.endswith("\n")):
        raise _fault("no text that an empty line and signatures follow")
    signatures = lines[:-1].split("\n")
    if len(signatures) > SIGNATURES_MAX:
        raise _fault(f"{len(signatures)} signatures; at most {SIGNATURES_MAX} are read")
    return Note(text + "\n", tuple(_signature(line) for line in signatures))


def is_name(text: str) -> bool:
    """Whether a key may have this name."""
    return bool(text) and "+" not in text and not any(one.isspace() for one in text)


def _line(one: NoteSignature) -> str:
    encoded = base64.b64encode(one.key_id + one.signature).decode()
    return f"{_DASH}{one.name} {encoded}\n"


def _signature(line: str) -> NoteSignature:
    if not line.startswith(_DASH):
        raise _fault("a signature's line begins with a dash (U+2014) and a space")
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not is_name(name):
        raise _fault(f"no name of a key: {name!r}")
    data = decode_base64(encoded)
    if len(data) <= KEY_ID_BYTES:
        raise _fault(f"a signature of {len(data)} bytes with its key id")
    return NoteSignature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 text in its one form; raises InvalidProof (malformed)."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise _fault(f"not base64: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise _fault("base64 in another than its one form")
    return data


def _fault(detail: str) -> InvalidProof:
    return InvalidProof(ProofFault.MALFORMED, f"not a signed note: {detail}")
