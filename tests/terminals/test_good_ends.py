"""Sessions in three terminals that end well: equal keys, and nobody sees what is not theirs."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from qlq.archive import verify
from qlq.node import terminals_messages as wire
from qlq.qkd import messages
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Protocol

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
PARTY_FIELDS = {"schema", "party", "timing", "archive"}


def checked(document: dict[str, Any] | None) -> dict[str, Any]:
    """A document that fits its schema."""
    assert document is not None
    name = document["schema"].removesuffix("/1")
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


@pytest.mark.parametrize(("protocol", "pulses"), [("bb84", 30_000), ("e91", 60_000)])
def test_both_stores_hold_one_key_under_one_id(stage: Any, protocol: str, pulses: int) -> None:
    ran = stage.run(protocol=Protocol(protocol), pulses=pulses)
    assert [each.error for each in ran.all] == [None] * 3
    alice, bob, link = (checked(each.document) for each in (ran.alice, ran.bob, ran.link))
    keys = [stage.keys(party) for party in Party]
    assert keys[0] == keys[1]
    assert list(keys[0]) == [alice["key_id"]]
    assert len(set(*keys[0].values())) > 16  # not all zero
    shared = {name: value for name, value in alice.items() if name not in PARTY_FIELDS}
    assert shared == {name: value for name, value in bob.items() if name not in PARTY_FIELDS}
    assert link["aborted"] is None
    assert link["provenance"]["job_ids"] == alice["provenance"]["job_ids"]
    assert alice["provenance"]["claim"] == "simulation"
    assert alice["secret_bits"] > 512


def test_the_next_session_needs_no_pairing_file_and_spends_earlier_key(stage: Any) -> None:
    first = stage.run().alice.document
    stage.pairing = None
    second = stage.run()
    assert second.alice.document["key_id"] == second.bob.document["key_id"] != first["key_id"]
    assert second.alice.document["finite_key"]["eps_earlier"] == first["finite_key"]["eps_total"]
    for party in Party:
        assert len(stage.keys(party)) == 2


def test_a_party_s_archive_verifies_in_public(stage: Any, tmp_path: Path) -> None:
    folders = {party: {"archive": tmp_path / f"{party.value}-kept"} for party in Party}
    ran = stage.run(changes=folders)
    assert ran.alice.document["archive"] == str(tmp_path / "alice-kept")
    for change in folders.values():
        assert verify.check(change["archive"]) == verify.Verdict("public", ())


def test_the_tolerated_qber_comes_from_the_link_s_device_where_none_is_given(stage: Any) -> None:
    ran = stage.run(changes={party: {"qber_max": None} for party in Party})
    assert ran.alice.document["qber_max"] == 0.015  # an ideal device: the least tolerance


def kinds_to_link(said: list[bytes]) -> list[str]:
    return [type(wire.decode_to_link(data)).__name__ for data in said]


def protocol_messages(said: list[bytes]) -> list[messages.Message]:
    return [messages.decode(data[1:]) for data in said if data[:1] == wire.PROTOCOL]


def test_the_link_hears_inputs_and_ends_and_nothing_of_the_classical_channel(stage: Any) -> None:
    ran = stage.run()
    for party in ("alice", "bob"):
        assert kinds_to_link(ran.said(f"{party}-link", "out")) == ["Join", "Inputs", "Ended"]
    classical = ran.said("alice-bob", "out") + ran.said("alice-bob", "back")
    heard = b"".join(ran.said("alice-link", "out") + ran.said("bob-link", "out"))
    for data in classical:
        if data[:1] == wire.PROTOCOL and len(data) > 40:
            assert data[1:] not in heard


def test_alice_sees_of_bob_what_his_messages_disclose_and_no_more(stage: Any) -> None:
    ran = stage.run()
    parameters = wire.decode_to_link(ran.said("alice-link", "out")[1]).parameters
    welcome, dealt = (wire.decode_from_link(data) for data in ran.said("alice-link", "back"))
    assert isinstance(welcome, wire.Welcome)
    assert dealt.bits is None  # she prepared
    bob_inputs = wire.decode_to_link(ran.said("bob-link", "out")[1]).inputs
    bob_bits = wire.decode_from_link(ran.said("bob-link", "back")[1]).bits
    to_alice = ran.said("alice-link", "back") + ran.said("alice-bob", "back")
    assert not [data for data in to_alice if bob_bits[:64] in data]
    said = protocol_messages(ran.said("alice-bob", "back"))
    by_kind = {type(message).__name__: message for message in said}
    assert set(by_kind) <= {
        *("Acceptance", "Bases", "Disclosure", "ParityRequest", "ReconciliationDone"),
        *("Verified", "TranscriptTag"),
    }
    assert by_kind["Bases"].settings == bob_inputs  # all of his bases, which the protocol tells
    disclosed = parameters.test_rounds + parameters.rate_rounds
    assert len(by_kind["Disclosure"].bits) == (disclosed + 7) // 8
    outcomes = np.unpackbits(np.frombuffer(bob_bits, dtype=np.uint8))[: parameters.pulses]
    shown = np.unpackbits(np.frombuffer(by_kind["Disclosure"].bits, dtype=np.uint8))[:disclosed]
    assert 0 < shown.sum() < disclosed < outcomes.size
    parities = sum(len(m.starts) // 4 for m in said if isinstance(m, messages.ParityRequest))
    assert parities <= parameters.leak_max_bits


def test_bob_sees_of_alice_what_her_messages_disclose_and_no_more(stage: Any) -> None:
    ran = stage.run()
    alice_inputs = wire.decode_to_link(ran.said("alice-link", "out")[1])
    parameters = alice_inputs.parameters
    # Two planes of bits: what she prepared and in which basis.
    planes = [alice_inputs.inputs[: len(alice_inputs.inputs) // 2]]
    planes.append(alice_inputs.inputs[len(planes[0]) :])
    to_bob = ran.said("bob-link", "back") + ran.said("alice-bob", "out")
    said = protocol_messages(ran.said("alice-bob", "out"))
    selection = next(m for m in said if isinstance(m, messages.Selection))
    disclosed = parameters.test_rounds + parameters.rate_rounds
    assert len(selection.bits) == (disclosed + 7) // 8
    found = [plane for plane in planes if any(plane[:64] in data for data in to_bob)]
    assert found == [selection.settings]  # her bases, and not her bits
    assert {type(message).__name__ for message in said} <= {
        *("Commitment", "Selection", "ReconciliationStart", "ParityReply", "Verification"),
        *("Amplification", "TranscriptTag"),
    }


def test_bases_are_told_after_the_last_pulse_was_measured(stage: Any) -> None:
    ran = stage.run()
    order = {}
    for frame in ran.frames:
        if frame.wire == "alice-bob" and frame.payload[:1] == wire.PROTOCOL:
            order[type(messages.decode(frame.payload[1:])).__name__] = frame.order
        elif frame.wire == "bob-link" and frame.way == "back":
            order[type(wire.decode_from_link(frame.payload)).__name__] = frame.order
    steps = ("Welcome", "Commitment", "Acceptance", "Outcomes", "Bases", "Selection")
    assert all(order[first] < order[second] for first, second in pairwise(steps))


def test_in_e91_each_party_gets_its_own_outcomes_and_not_the_other_s(stage: Any) -> None:
    ran = stage.run(protocol=Protocol.E91, pulses=60_000)
    bits = {
        party: wire.decode_from_link(ran.said(f"{party}-link", "back")[1]).bits
        for party in ("alice", "bob")
    }
    assert bits["alice"] != bits["bob"]
    seen_by_bob = ran.said("bob-link", "back") + ran.said("alice-bob", "out")
    seen_by_alice = ran.said("alice-link", "back") + ran.said("alice-bob", "back")
    assert not [data for data in seen_by_bob if bits["alice"][:64] in data]
    assert not [data for data in seen_by_alice if bits["bob"][:64] in data]
