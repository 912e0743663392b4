"""Keys without quantum: X25519 and ML-KEM-768, both parties authenticated, as a state machine.

    Alice  Offered  --Answer--> Keyed --Confirmation--> Confirmed [key]
    Bob    Listening --Offer--> Keyed --Confirmation--> Confirmed [key]

    Alice                            Bob
      Offer: nonce, encapsulation key  ->
                                       <-  Answer: nonce, ciphertext
                                       <-  Confirmation: signature, tag
      Confirmation: signature, tag     ->

The keys are derived from the encapsulated secret and from both first messages. Each signature and
each tag covers all messages before it, so that nobody can change or replace one. A party has its
key only after the other one's signature, under the identity that it knows, and tag have fitted:
Alice before she confirms, Bob at the end. Any other pair of phase and message raises OutOfTurn.

The secrecy is computational. No claim above `classical (computational)` is ever made of it.

Source: the pattern is SIGMA (Krawczyk, CRYPTO 2003) with a key encapsulation in the place of
Diffie-Hellman.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from qlq import codec
from qlq.crypto import digest, kdf, kem, mac, stream
from qlq.crypto.kem import DecapsulationKey, EncapsulationKey
from qlq.crypto.signing import SigningKey, VerifyingKey
from qlq.errors import (
    AuthenticationFailed,
    BadSignature,
    BadTag,
    LocalMisuse,
    OutOfTurn,
    RemoteMisuse,
    require,
)
from qlq.keys import Worth
from qlq.provenance import Claim
from qlq.qkd import worth
from qlq.qkd.authentication import framed
from qlq.qkd.duties import Party, Transcript

PROTOCOL = "classical"
ALGORITHMS = "X25519 + ML-KEM-768, ML-DSA-65"
SEED_BYTES = 32
KEY_BYTES = 32
NONCE_BYTES = 32
MESSAGE_BYTES_MAX = 1 << 14
"""An identity key and a signature of the hybrid algorithm together have 5.4 kB."""

CONTEXTS = {
    Party.ALICE: b"qlq classical exchange 1 alice",
    Party.BOB: b"qlq classical exchange 1 bob",
}
WORTH = Worth(Claim.CLASSICAL, worth.secret_against(Claim.CLASSICAL), 8 * KEY_BYTES)


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages: an array that starts with the class name."""


class Offer(_Message, frozen=True):
    """Alice's identity, fresh bytes and the key that Bob encapsulates a secret for."""

    identity: bytes
    nonce: bytes
    encapsulation_key: bytes


class Answer(_Message, frozen=True):
    """Bob's identity, fresh bytes and the encapsulated secret."""

    identity: bytes
    nonce: bytes
    ciphertext: bytes


class Confirmation(_Message, frozen=True):
    """The sender stands for everything said before, and has the key."""

    signature: bytes
    tag: bytes


Message = Offer | Answer | Confirmation


@dataclass(frozen=True, slots=True)
class Person:
    """What a party brings along.

    Attributes:
        party: Which end it is.
        own: Its signing key.
        peer: The key that it knows the other one by.
        seed: 32 fresh secret bytes for this exchange alone.
    """

    party: Party
    own: SigningKey = field(repr=False)
    peer: VerifyingKey = field(repr=False)
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a seed of another length."""
        if len(self.seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(self.seed)}")

    @property
    def other(self) -> Party:
        """The other end."""
        return Party.BOB if self.party is Party.ALICE else Party.ALICE


@dataclass(frozen=True, slots=True)
class Keys:
    """What follows from the secret: the key, and a one-time key for each party's tag."""

    key: bytes = field(repr=False)
    tag_keys: dict[Party, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Offered:
    """Alice waits for the encapsulated secret."""

    person: Person
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Listening:
    """Bob waits for an offer."""

    person: Person
    transcript: Transcript = field(default_factory=Transcript)


@dataclass(frozen=True, slots=True)
class Keyed:
    """The key exists, and nothing may use it before the other one has confirmed."""

    person: Person
    transcript: Transcript
    keys: Keys


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The other one has the same key and is who it should be."""

    transcript: Transcript
    key: bytes = field(repr=False)


Phase = Offered | Listening | Keyed | Confirmed
Step = tuple[Phase, list[Message]]


def encode(message: Message) -> bytes:
    """Canonical bytes of a message."""
    return codec.encode(message)


def decode(data: bytes) -> Message:
    """The message in these bytes; raises RemoteMisuse for anything else."""
    require(len(data) <= MESSAGE_BYTES_MAX, f"message of {len(data)} bytes is too long")
    message: Message = codec.decode(data, Message)
    return message


def start(person: Person) -> Step:
    """The first phase, and Alice's offer."""
    if person.party is Party.BOB:
        return Listening(person), []
    offer = Offer(
        identity=person.own.verifying_key.to_bytes(),
        nonce=stream.expand(person.seed, label="classical nonce", length=NONCE_BYTES),
        encapsulation_key=_decapsulation_key(person.seed).encapsulation_key.to_bytes(),
    )
    phase = Offered(person, Transcript().add(Party.ALICE, encode(offer)))
    return phase, [offer]


def step(phase: Phase, message: Message) -> Step:
    """The next phase and the messages for the other party.

    Raises:
        AuthenticationFailed: The other party is not who it should be, or a message was changed;
            drop the phase.
        RemoteMisuse: It sent what it must not send.
    """
    match phase, message:
        case Listening(person), Offer():
            return _answer(person, message)
        case Offered(person), Answer():
            heard = phase.transcript.add(Party.BOB, encode(message))
            _check_identity(person, message.identity)
            require(len(message.nonce) == NONCE_BYTES, "a nonce of another length")
            secret = _decapsulation_key(person.seed).decapsulate(message.ciphertext)
            return Keyed(person, heard, derive(secret, heard)), []
        case Keyed(person), Confirmation():
            check_confirmation(phase.transcript, message, person.other, person.peer)
            _check_tag(phase, message)
            heard = phase.transcript.add(person.other, encode(message))
            if person.party is Party.BOB:
                return Confirmed(heard, phase.keys.key), []
            said, own = _confirm(replace(phase, transcript=heard))
            return Confirmed(said, phase.keys.key), [own]
        case _:
            raise OutOfTurn(f"{type(message).__name__} while {type(phase).__name__}")


def confirmed_key(phase: Phase) -> bytes:
    """The 32 bytes that may be used; raises LocalMisuse before the other one has confirmed."""
    if not isinstance(phase, Confirmed):
        raise LocalMisuse(f"no key may be used in {type(phase).__name__}")
    return phase.key


def derive(secret: bytes, transcript: Transcript) -> Keys:
    """The key and both tag keys, from the encapsulated secret and both first messages."""
    material = kdf.hkdf(
        secret,
        salt=digest.sha256(framed(transcript)),
        info=b"qlq classical exchange 1",
        length=KEY_BYTES + 2 * mac.KEY_BYTES,
    )
    tags = material[KEY_BYTES:]
    return Keys(
        material[:KEY_BYTES],
        {Party.ALICE: tags[: mac.KEY_BYTES], Party.BOB: tags[mac.KEY_BYTES :]},
    )


def check_confirmation(
    transcript: Transcript, message: Confirmation, sender: Party, identity: VerifyingKey
) -> None:
    """Return if the sender's signature covers these messages; raises AuthenticationFailed."""
    try:
        identity.verify(_digest(transcript), message.signature, context=CONTEXTS[sender])
    except BadSignature as error:
        raise AuthenticationFailed(
            f"{sender.value}'s signature does not fit what was said: somebody changed a message, "
            "or speaks in another one's name"
        ) from error


def check_transcript(transcript: Transcript) -> dict[Party, VerifyingKey]:
    """Both identities, if these are the messages of one complete exchange that each one signed.

    Anyone may check it: neither the key nor its tags are needed.

    Raises:
        RemoteMisuse: Another order, or bytes that are no message.
        AuthenticationFailed: A signature does not fit.
    """
    said = [(sender, decode(data)) for sender, data in transcript.entries]
    match said:
        case [
            (Party.ALICE, Offer() as offer),
            (Party.BOB, Answer() as answer),
            (Party.BOB, Confirmation() as by_bob),
            (Party.ALICE, Confirmation() as by_alice),
        ]:
            identities = {
                Party.ALICE: VerifyingKey.from_bytes(offer.identity),
                Party.BOB: VerifyingKey.from_bytes(answer.identity),
            }
        case _:
            raise RemoteMisuse(f"{len(said)} messages are not one classical exchange")
    before = Transcript(transcript.entries[:2])
    check_confirmation(before, by_bob, Party.BOB, identities[Party.BOB])
    before = Transcript(transcript.entries[:3])
    check_confirmation(before, by_alice, Party.ALICE, identities[Party.ALICE])
    return identities


def recompute(transcript: Transcript, alice_seed: bytes) -> bytes:
    """The key of a checked transcript, found again from Alice's seed.

    Raises:
        AuthenticationFailed: Her seed is another one, or a tag does not fit.
        RemoteMisuse: The messages are not one exchange.
    """
    check_transcript(transcript)
    offer, answer, by_bob, by_alice = (decode(data) for _, data in transcript.entries)
    own = _decapsulation_key(alice_seed)
    if not isinstance(offer, Offer) or not isinstance(answer, Answer):
        raise RemoteMisuse("an exchange starts with an offer and its answer")
    if offer.encapsulation_key != own.encapsulation_key.to_bytes():
        raise AuthenticationFailed("the offer was made from another seed")
    keys = derive(own.decapsulate(answer.ciphertext), Transcript(transcript.entries[:2]))
    for sender, said, count in ((Party.BOB, by_bob, 2), (Party.ALICE, by_alice, 3)):
        if isinstance(said, Confirmation):
            _verify_tag(Transcript(transcript.entries[:count]), said, sender, keys)
    return keys.key


def _answer(person: Person, offer: Offer) -> Step:
    _check_identity(person, offer.identity)
    require(len(offer.nonce) == NONCE_BYTES, "a nonce of another length")
    made = EncapsulationKey.from_bytes(offer.encapsulation_key).encapsulate()
    answer = Answer(
        identity=person.own.verifying_key.to_bytes(),
        nonce=stream.expand(person.seed, label="classical nonce", length=NONCE_BYTES),
        ciphertext=made.ciphertext,
    )
    heard = Transcript().add(Party.ALICE, encode(offer)).add(Party.BOB, encode(answer))
    phase = Keyed(person, heard, derive(made.secret, heard))
    said, own = _confirm(phase)
    return replace(phase, transcript=said), [answer, own]


def _confirm(phase: Keyed) -> tuple[Transcript, Confirmation]:
    """The party's own confirmation, and the transcript with it."""
    person = phase.person
    message = Confirmation(
        signature=person.own.sign(_digest(phase.transcript), context=CONTEXTS[person.party]),
        tag=mac.tag(phase.keys.tag_keys[person.party], framed(phase.transcript)),
    )
    return phase.transcript.add(person.party, encode(message)), message


def _check_identity(person: Person, shown: bytes) -> None:
    if shown != person.peer.to_bytes():
        raise AuthenticationFailed(
            f"the peer shows another identity than the one {person.other.value} is known by"
        )


def _check_tag(phase: Keyed, message: Confirmation) -> None:
    _verify_tag(phase.transcript, message, phase.person.other, phase.keys)


def _verify_tag(transcript: Transcript, message: Confirmation, sender: Party, keys: Keys) -> None:
    try:
        mac.verify(keys.tag_keys[sender], framed(transcript), message.tag)
    except BadTag as error:
        raise AuthenticationFailed(
            f"{sender.value}'s tag does not fit: the two parties have different keys"
        ) from error


def _digest(transcript: Transcript) -> bytes:
    return digest.sha256(framed(transcript))


def _decapsulation_key(seed: bytes) -> DecapsulationKey:
    return DecapsulationKey(stream.expand(seed, label="classical key", length=kem.SEED_BYTES))
