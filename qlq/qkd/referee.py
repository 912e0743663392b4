"""Whether a public transcript can be that of a session which ended as it is said to have ended.

Nobody needs a secret for this: the order of messages, the committed numbers, the disclosed bits
and the counted parities are enough to tell an impossible session. A transcript is not signed, so
that one made up as a whole, tags included, cannot be told from a true one without the tag keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qlq.errors import ProtocolAbort
from qlq.qkd import estimation, messages
from qlq.qkd.duties import Party, Transcript
from qlq.qkd.parameters import Parameters, commitment_digest
from qlq.qkd.record import Record

Turn = tuple[Party, type[messages.Message]]

_OPENING: tuple[Turn, ...] = (
    (Party.ALICE, messages.Commitment),
    (Party.BOB, messages.Acceptance),
    (Party.BOB, messages.Bases),
    (Party.ALICE, messages.Selection),
    (Party.BOB, messages.Disclosure),
    (Party.ALICE, messages.ReconciliationStart),
)
_QUESTION: Turn = (Party.BOB, messages.ParityRequest)
_ANSWER: Turn = (Party.ALICE, messages.ParityReply)
_ENDING: tuple[Turn, ...] = (
    (Party.BOB, messages.ReconciliationDone),
    (Party.ALICE, messages.Verification),
    (Party.BOB, messages.Verified),
    (Party.ALICE, messages.Amplification),
    (Party.BOB, messages.TranscriptTag),
    (Party.ALICE, messages.TranscriptTag),
)


@dataclass(frozen=True, slots=True)
class Objection:
    """What does not fit.

    Attributes:
        place: A message or a figure, in words.
        expected: What it would have to be.
        found: What it is.
    """

    place: str
    expected: str
    found: str


def objections(
    parameters: Parameters, transcript: Transcript, record: Record
) -> tuple[Objection, ...]:
    """Everything in a readable transcript that contradicts its end; empty where it can be true.

    Args:
        parameters: What both parties are said to have committed to.
        transcript: All messages.
        record: `record.read` of the two.
    """
    said = [(sender, messages.decode(data)) for sender, data in transcript.entries]
    found = [*_turns(said), *_commitment(parameters, said)]
    if record.abort_reason is None:
        found += _judgement(parameters, record)
    return tuple(found)


def _turns(said: list[tuple[Party, messages.Message]]) -> Iterator[Objection]:
    """The first message out of turn, or what is missing at the end."""
    spoken = [(sender, type(message)) for sender, message in said]
    aborted = [turn for turn in spoken if turn[1] is messages.Abort]
    if aborted:
        spoken = spoken[: spoken.index(aborted[0])]
    rounds = spoken.count(_QUESTION)
    due = [*_OPENING, *[_QUESTION, _ANSWER] * rounds, *_ENDING]
    for index, turn in enumerate(spoken):
        if index >= len(due) or turn != due[index]:
            expected = _word(due[index]) if index < len(due) else "no further message"
            yield Objection(f"message {index}", expected, _word(turn))
            return
    if not aborted and len(spoken) < len(due):
        yield Objection(f"message {len(spoken)}", _word(due[len(spoken)]), "the end")


def _word(turn: Turn) -> str:
    return f"{turn[1].__name__} from {turn[0].value}"


def _commitment(
    parameters: Parameters, said: list[tuple[Party, messages.Message]]
) -> Iterator[Objection]:
    """Both parties committed to these very parameters."""
    for index, (_, message) in enumerate(said):
        if isinstance(message, messages.Commitment) and message.parameters != parameters:
            yield Objection(f"message {index}", "the parameters of the session", "other ones")
        if isinstance(message, messages.Acceptance):
            expected = commitment_digest(parameters)
            if message.parameters_digest != expected:
                yield Objection(f"message {index}", expected, message.parameters_digest)


def _judgement(parameters: Parameters, record: Record) -> Iterator[Objection]:
    """A session that ended with a key passed every test that both parties make."""
    if record.estimate is not None:
        try:
            estimation.judge(parameters, record.estimate)
        except ProtocolAbort as error:
            yield Objection("disclosed bits", "a session that goes on", str(error))
    if record.leakage.leak_ec_bits > parameters.leak_max_bits:
        yield Objection(
            "parities", f"at most {parameters.leak_max_bits}", str(record.leakage.leak_ec_bits)
        )
    if parameters.secret_bits < 1:
        yield Objection("secret bits", "at least 1", str(parameters.secret_bits))
