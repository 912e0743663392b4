"""Every pair (phase, event): exactly the documented ones pass, all others raise OutOfTurn."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from qlq.errors import OutOfTurn, PeerAborted, ProtocolAbort, RemoteMisuse
from qlq.qkd import alice, bob, messages
from qlq.qkd.duties import KeepKey, Measured, Party, TagKey
from qlq.qkd.parameters import Parameters, Protocol, Wanted, commit

ALICE_TURNS = {  # the diagram at the head of alice.py
    "Proposed": {"Acceptance"},
    "Preparing": {"Measured"},
    "Sent": {"Bases"},
    "Sifted": {"Disclosure"},
    "Answering": {"ParityRequest", "ReconciliationDone"},
    "Verifying": {"Verified"},
    "Amplified": {"TranscriptTag"},
    "Checking": {"TagKey"},
    "Tagging": {"TagKey"},
    "Confirmed": set(),
}
BOB_TURNS = {  # the diagram at the head of bob.py
    "Waiting": {"Commitment"},
    "Receiving": {"Measured"},
    "Announced": {"Selection"},
    "Disclosed": {"ReconciliationStart"},
    "Correcting": {"ParityReply", "Verification"},
    "Agreed": {"Amplification"},
    "Tagging": {"TagKey"},
    "Pending": {"TranscriptTag"},
    "Checking": {"TagKey"},
    "Confirmed": set(),
}
EVENTS = [
    *(kind.__name__ for kind in messages.Message.__args__ if kind is not messages.Abort),
    "Measured",
    "TagKey",
]
PARTIES = {Party.ALICE: (alice, ALICE_TURNS), Party.BOB: (bob, BOB_TURNS)}
PAIRS = [
    (party, phase, event)
    for party, (_, turns) in PARTIES.items()
    for phase in turns
    for event in EVENTS
]


class Story:
    """What both parties heard in one good session, and how to come back to any point of it."""

    def __init__(self, lab, parameters: Parameters) -> None:
        self.lab, self.parameters = lab, parameters
        pair = lab.talk(parameters, flip=0.001)
        assert set(pair.keys) == set(Party)
        self.heard = pair.heard
        self.phases: dict[Party, list[str]] = {}
        for party in Party:
            names = [type(self.replay(party, 0)).__name__]
            phase = self.replay(party, 0)
            for event in self.heard[party]:
                phase, _, _ = self.room(party).step(phase, event)
                names.append(type(phase).__name__)
            self.phases[party] = names
        self.events = {}
        for party in Party:
            for event in self.heard[party]:
                self.events.setdefault(type(event).__name__, event)

    @staticmethod
    def room(party: Party) -> ModuleType:
        return PARTIES[party][0]

    def replay(self, party: Party, count: int):
        """The phase after the first `count` events; nothing is shared with other replays."""
        room = self.room(party)
        phase, _, _ = room.start(self.parameters, seed=self.lab.seed(1, str(party)))
        for event in self.heard[party][:count]:
            phase, _, _ = room.step(phase, event)
        return phase


@pytest.fixture(scope="module", params=list(Protocol))
def story(request: pytest.FixtureRequest, lab) -> Story:
    pulses = {Protocol.BB84: 20_000, Protocol.E91: 40_000}[request.param]
    return Story(lab, commit(Wanted(protocol=request.param, pulses=pulses, qber_max=0.01)))


@pytest.mark.parametrize("party", list(Party))
def test_a_good_session_passes_through_every_phase_in_order(story: Story, party: Party) -> None:
    once = list(dict.fromkeys(story.phases[party]))
    assert once == list(PARTIES[party][1])
    assert set(story.events) == set(EVENTS)


def test_exactly_the_documented_pairs_pass(story: Story) -> None:
    for party, phase_name, event_name in PAIRS:
        room, turns = PARTIES[party]
        names, heard = story.phases[party], story.heard[party]
        if event_name in turns[phase_name]:
            at = next(
                i
                for i, event in enumerate(heard)
                if (names[i], type(event).__name__) == (phase_name, event_name)
            )
            room.step(story.replay(party, at), heard[at])
            continue
        phase = story.replay(party, names.index(phase_name))
        assert type(phase).__name__ == phase_name
        with pytest.raises(OutOfTurn, match=f"{event_name} while {phase_name}"):
            room.step(phase, story.events[event_name])


def test_an_abort_of_the_peer_ends_every_phase(story: Story) -> None:
    for party, (room, turns) in PARTIES.items():
        for name in turns:
            phase = story.replay(party, story.phases[party].index(name))
            with pytest.raises(PeerAborted, match="leakage"):
                room.step(phase, messages.Abort("leakage"))


def test_the_key_is_handed_over_at_the_very_end_only(story: Story) -> None:
    for party, (room, _) in PARTIES.items():
        phase = story.replay(party, 0)
        for number, event in enumerate(story.heard[party], start=1):
            phase, _, duties = room.step(phase, event)
            kept = [duty for duty in duties if isinstance(duty, KeepKey)]
            assert bool(kept) is (number == len(story.heard[party]))
        assert type(phase).__name__ == "Confirmed"


def test_bob_answers_nothing_that_he_did_not_ask(story: Story) -> None:
    """A second answer after his last question, and the tag before his last question."""
    names, heard = story.phases[Party.BOB], story.heard[Party.BOB]
    done = len(names) - 1 - names[::-1].index("Correcting")
    for at, event in ((done, "ParityReply"), (names.index("Correcting"), "Verification")):
        with pytest.raises(RemoteMisuse):
            bob.step(story.replay(Party.BOB, at), story.events[event])
    assert isinstance(heard[done], messages.Verification)


@pytest.mark.parametrize("party", list(Party))
def test_a_tag_key_from_another_offset_is_refused(story: Story, party: Party) -> None:
    at = story.phases[party].index("Checking")
    good = story.heard[party][at]
    assert isinstance(good, TagKey)
    with pytest.raises(RemoteMisuse, match="offset"):
        PARTIES[party][0].step(story.replay(party, at), TagKey(good.offset_bits + 256, good.key))


@pytest.mark.parametrize("party", list(Party))
def test_another_one_time_key_fits_no_tag(story: Story, party: Party) -> None:
    at = story.phases[party].index("Checking")
    with pytest.raises(ProtocolAbort, match="does not fit"):
        PARTIES[party][0].step(story.replay(party, at), TagKey(0, bytes(32)))


@pytest.mark.parametrize("party", list(Party))
def test_the_link_must_give_one_outcome_a_pulse(story: Story, party: Party) -> None:
    name = "Preparing" if party is Party.ALICE else "Receiving"
    at = story.phases[party].index(name)
    wrong = np.zeros(story.parameters.pulses - 1, dtype=np.uint8)
    if party is Party.BOB or story.parameters.protocol is Protocol.E91:
        for bits in (wrong, None):
            with pytest.raises(ValueError, match="one outcome"):
                PARTIES[party][0].step(story.replay(party, at), Measured(bits))


@pytest.mark.parametrize("party", list(Party))
def test_no_phase_shows_its_secrets(story: Story, party: Party) -> None:
    """`repr` has neither the seed nor the sifted or secret key."""
    seed = story.lab.seed(1, str(party))
    hidden = ("seed", "secret", "key", "bits", "answerer", "asker")
    for name in PARTIES[party][1]:
        phase = story.replay(party, story.phases[party].index(name))
        shown = repr(phase)
        assert repr(seed) not in shown
        assert seed.hex() not in shown
        for attribute in hidden:
            value = getattr(phase, attribute, None)
            assert value is None or f"{attribute}={value!r}" not in shown
