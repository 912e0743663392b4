"""Sessions in three terminals that end without a key: all three say so, and why."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from qlq.backends import registry
from qlq.backends.port import Cost
from qlq.errors import (
    BackendUnavailable,
    BudgetRefused,
    ConfigError,
    KeysExhausted,
    KeyStoreError,
    PeerAborted,
)
from qlq.kme.tag_keys import Sender
from qlq.network import framing, transport
from qlq.node import terminals_link
from qlq.node import terminals_messages as wire
from qlq.node.terminals_link import LinkOrder
from qlq.node.terminals_pairing import Pairing
from qlq.provenance import Claim, Kind, Provenance, Tier
from qlq.qkd import messages
from qlq.qkd.duties import Party
from qlq.qkd.parameters import Protocol, Wanted

pytestmark = pytest.mark.long

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
EVE = "intercept-resend:1"


def assert_no_key(stage: Any, *parties: Party) -> None:
    for party in parties or tuple(Party):
        assert stage.keys(party) == {}


def assert_all_aborted(ran: Any, reason: str) -> None:
    assert [each.error for each in ran.all] == [None] * 3
    assert {each.reason for each in ran.all} == {reason}
    for each in ran.all:
        schema = SCHEMAS / f"{each.document['schema'].removesuffix('/1')}.json"
        jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(each.document)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_eve_in_the_link_ends_all_three_with_the_same_reason(
    stage: Any, protocol: Protocol
) -> None:
    ran = stage.run(protocol=protocol, pulses=20_000, eve=EVE)
    assert_all_aborted(ran, "qber" if protocol is Protocol.BB84 else ran.alice.reason)
    assert ran.link.document["eve"] == EVE
    assert "eve" not in ran.alice.document
    assert ran.alice.document["key_id"] is ran.bob.document["key_id"] is None
    assert_no_key(stage)


def test_too_few_pulses_end_all_three_with_the_same_reason(stage: Any) -> None:
    ran = stage.run(pulses=2_000)
    assert_all_aborted(ran, ran.alice.reason)
    assert ran.alice.reason in {"key-too-short", "too-few-rounds"}
    assert_no_key(stage)


def assert_refused_alike(ran: Any, kind: type[Exception], word: str) -> None:
    """All three end with one error, and so with one exit code."""
    assert [type(each.error) for each in ran.all] == [kind] * 3
    assert all(word in str(each.error) for each in ran.all)


def flip_in(kind: str, *, way: str) -> Callable[[str, str, int, bytes], list[bytes]]:
    """Turn one bit in the middle of the first message of this kind."""
    done = []

    def tamper(name: str, direction: str, _number: int, payload: bytes) -> list[bytes]:
        is_here = name == "alice-bob" and direction == way and payload[:1] == wire.PROTOCOL
        if done or not is_here or type(messages.decode(payload[1:])).__name__ != kind:
            return [payload]
        done.append(kind)
        at = len(payload) * 3 // 4
        return [payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]]

    return tamper


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("Commitment", "out"),
        ("Acceptance", "back"),
        ("Bases", "back"),
        ("Selection", "out"),
        ("Disclosure", "back"),
        ("ReconciliationStart", "out"),
        ("Verification", "out"),
        ("Amplification", "out"),
        ("TranscriptTag", "back"),
        ("TranscriptTag", "out"),
    ],
)
def test_one_bit_turned_in_any_message_leaves_no_key_in_either_store(
    stage: Any, kind: str, way: str
) -> None:
    ran = stage.run(tamper=flip_in(kind, way=way))
    assert len({each.reason for each in ran.all}) == 1
    assert_no_key(stage)


def on_the_wire(change: Callable[[int, bytes], list[bytes] | None], *, way: str) -> Any:
    """Change the frames between the parties, by their number among the protocol's messages."""

    def tamper(name: str, direction: str, number: int, payload: bytes) -> list[bytes] | None:
        if name == "alice-bob" and direction == way:
            return change(number, payload)
        return [payload]

    return tamper


@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("what", ["twice", "garbage", "unknown purpose", "empty"])
def test_wrong_order_and_garbage_end_all_three_without_a_key(
    stage: Any, way: str, number: int, what: str
) -> None:
    def change(at: int, payload: bytes) -> list[bytes]:
        if at != number:
            return [payload]
        return {
            "twice": [payload, payload],
            "garbage": [wire.PROTOCOL + b"\x93garbage"],
            "unknown purpose": [b"\x07" + payload[1:]],
            "empty": [b""],
        }[what]

    ran = stage.run(tamper=on_the_wire(change, way=way))
    assert_all_aborted(ran, "peer")
    assert_no_key(stage)


@pytest.mark.parametrize("way", ["out", "back"])
@pytest.mark.parametrize("number", [0, 1, 2, 4, 6])
def test_a_wire_that_is_cut_between_the_parties_ends_all_three_at_once(
    stage: Any, way: str, number: int
) -> None:
    cut = on_the_wire(lambda at, payload: None if at == number else [payload], way=way)
    started = time.monotonic()
    ran = stage.run(tamper=cut)
    assert time.monotonic() - started < 6
    for each in (ran.alice, ran.bob):
        assert isinstance(each.error, PeerAborted) or each.reason == "peer"
    assert ran.link.reason == "peer"
    assert_no_key(stage)


def test_a_party_that_falls_silent_is_given_up_after_the_time_for_silence(stage: Any) -> None:
    swallow = on_the_wire(lambda at, payload: [] if at >= 3 else [payload], way="out")
    started = time.monotonic()
    ran = stage.run(tamper=swallow, peer_timeout_s=1.0)
    assert time.monotonic() - started < 5
    assert_all_aborted(ran, "peer")
    assert "silent" in ran.alice.document["aborted"]["detail"] + str(ran.bob.document["aborted"])
    assert_no_key(stage)


def test_alice_stores_no_key_that_bob_has_not_said_he_keeps(stage: Any) -> None:
    def lose_kept(_at: int, payload: bytes) -> list[bytes] | None:
        is_kept = payload[:1] == wire.CONTROL and b"Kept" in payload
        return None if is_kept else [payload]

    ran = stage.run(tamper=on_the_wire(lose_kept, way="back"))
    assert ran.alice.reason == "peer"
    assert_no_key(stage, Party.ALICE)
    # He has verified her tag: his copy is a confirmed key, which nobody else will ever use.
    assert list(stage.keys(Party.BOB)) == [ran.bob.document["key_id"]]
    stage.pairing = None
    again = stage.run()
    assert_refused_alike(again, KeyStoreError, "new pairing")
    stage.pairing = Pairing.from_system()
    assert stage.run().alice.document["secret_bits"] > 0


def test_a_frame_that_is_too_long_ends_the_session(stage: Any) -> None:
    def swell(at: int, payload: bytes) -> list[bytes]:
        return [payload + bytes(wire.FIRST_BYTES_MAX)] if at == 0 else [payload]

    ran = stage.run(tamper=on_the_wire(swell, way="out"), peer_timeout_s=2.0)
    assert isinstance(ran.alice.error, PeerAborted)
    assert any("most" in told for told in ran.bob.told)
    assert_no_key(stage)


def test_parties_that_want_different_sessions_refuse_naming_what_differs(stage: Any) -> None:
    other = Wanted(protocol=Protocol.BB84, pulses=40_000, qber_max=0.02)
    ran = stage.run(changes={Party.BOB: {"wanted": other}})
    assert_refused_alike(ran, ConfigError, "pulses")
    assert_refused_alike(ran, ConfigError, "40000")


def test_parties_of_different_pairings_refuse(stage: Any) -> None:
    ran = stage.run(pairings={Party.BOB: Pairing.from_system()})
    assert_refused_alike(ran, ConfigError, "--pairing")


def test_a_pairing_with_the_same_id_and_other_bits_ends_at_the_tags(stage: Any) -> None:
    forged = replace(Pairing.from_system(), pairing_id=stage.pairing.pairing_id)
    ran = stage.run(pairings={Party.BOB: forged})
    assert_all_aborted(ran, "authentication")
    assert_no_key(stage)


def test_an_empty_pool_is_found_before_anything_is_sent(stage: Any) -> None:
    for party in Party:
        held = stage.belongings(party, stage.pairing)
        for sender in Sender:
            for _ in range(8):
                held.pool.take(sender)
        held.close()
    ran = stage.run(link_changes={"timeout_s": 0.5})
    assert isinstance(ran.alice.error, KeysExhausted)
    assert isinstance(ran.bob.error, KeysExhausted)
    assert ran.frames == []


def test_a_party_in_a_session_cannot_start_another_one(stage: Any) -> None:
    held = stage.belongings(Party.ALICE, stage.pairing)
    try:
        with pytest.raises(KeyStoreError, match="another process"):
            stage.belongings(Party.ALICE, stage.pairing)
    finally:
        held.close()


def early(name: str, way: str, payload: bytes) -> Any:
    """Other bytes in place of the first frame of one direction."""

    def tamper(wire_name: str, direction: str, number: int, old: bytes) -> list[bytes]:
        return [payload] if (wire_name, direction, number) == (name, way, 0) else [old]

    return tamper


@pytest.mark.parametrize(
    ("name", "way"), [("alice-link", "back"), ("bob-link", "back"), ("alice-bob", "back")]
)
@pytest.mark.parametrize("payload", [b"", b"\x00\x01\x90", b"garbage", wire.PROTOCOL + b"\x01\x90"])
def test_garbage_before_the_session_is_the_other_one_s_fault_and_no_bug(
    stage: Any, name: str, way: str, payload: bytes
) -> None:
    ran = stage.run(
        tamper=early(name, way, payload),
        peer_timeout_s=1.0,
        link_changes={"timeout_s": 3.0},
        changes={party: {"arrival_s": 2.0} for party in Party},
    )
    victim = ran.bob if name == "bob-link" else ran.alice
    assert isinstance(victim.error, PeerAborted), victim
    for each in ran.all:
        assert isinstance(each.error, PeerAborted) or each.reason == "peer"
    assert_no_key(stage)


def test_a_good_end_before_there_were_outcomes_is_none(stage: Any) -> None:
    def end(name: str, way: str, number: int, payload: bytes) -> list[bytes]:
        is_inputs = (name, way, number) == ("bob-link", "out", 1)
        return [wire.encode(wire.Ended(""))] if is_inputs else [payload]

    assert_all_aborted(stage.run(tamper=end), "peer")
    assert_no_key(stage)


class Strangers:
    """Somebody who talks to the doors before the parties do."""

    def __init__(self, payloads: list[bytes]) -> None:
        self.payloads = payloads
        self.answers: list[bytes] = []

    def knock(self, port: int) -> None:
        for payload in self.payloads:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
                stranger.sendall(payload)
                stranger.shutdown(socket.SHUT_WR)
                while piece := stranger.recv(1 << 12):
                    self.answers.append(piece)


def test_strangers_at_the_doors_are_refused_and_disturb_nobody(stage: Any) -> None:
    garbage = [b"GET / HTTP/1.1\r\n\r\n", framing.encode(b"\x00\x01\x90"), b"\x01\xff\xff\xff\xff"]
    again = framing.encode(wire.encode(wire.Join(Party.ALICE)))
    late = Strangers([*garbage, again])
    knocked: list[str] = []

    def tamper(name: str, way: str, number: int, payload: bytes) -> list[bytes]:
        # When Alice's inputs pass, both doors have the guests that they expect.
        if name == "alice-link" and way == "out" and number == 1 and not knocked:
            knocked.append("link")
            late.knock(stage.link.port)
            Strangers(garbage).knock(stage.bob.port)
        return [payload]

    ran = stage.run(tamper=tamper)
    assert knocked
    assert ran.alice.document["key_id"] == ran.bob.document["key_id"] is not None
    refused = [told for told in ran.link.told if "refused" in told]
    assert len(refused) == len(late.payloads)
    assert "alice is at this link already" in refused[-1]
    assert any(b"already" in answer for answer in late.answers)
    assert sum("refused" in told for told in ran.bob.told) == len(garbage)


def backend_that(monkeypatch: pytest.MonkeyPatch, **answers: Callable[..., Any]) -> None:
    """Let the link open the ideal simulator with other answers to some calls."""
    opened = registry.open_backend

    class Changed:
        def __init__(self, uri: str) -> None:
            self._real = opened(uri)

        def __getattr__(self, name: str) -> Any:
            return answers.get(name, getattr(self._real, name))

    monkeypatch.setattr(registry, "open_backend", Changed)


def test_a_backend_without_shots_ends_all_three_as_a_backend_error(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise BackendUnavailable("the device is being calibrated")

    backend_that(monkeypatch, submit=broken)
    ran = stage.run()
    for each in ran.all:
        assert isinstance(each.error, BackendUnavailable), each
        assert "being calibrated" in str(each.error)
    assert_no_key(stage)


def test_what_the_operator_does_not_pay_for_is_not_run(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    price = Cost(3.0, Decimal(5), "USD", "a price list", "2026-11-01")

    def forbidden(*_arguments: object) -> None:
        raise AssertionError("submitted without consent")

    backend_that(monkeypatch, estimate=lambda _plan: price, submit=forbidden)
    ran = stage.run()
    for each in ran.all:
        assert isinstance(each.error, BudgetRefused), each
    assert_no_key(stage)


def test_a_silent_vendor_holds_the_link_no_longer_than_its_deadline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend_that(monkeypatch, describe=lambda: time.sleep(30.0))
    order = LinkOrder(transport.parse("127.0.0.1:0"), "aer", tmp_path, timeout_s=1.0)
    started = time.monotonic()
    with pytest.raises(BackendUnavailable, match="no answer"):
        terminals_link.serve(order, print)
    assert time.monotonic() - started < 3.0


@pytest.mark.parametrize("wire_name", ["alice-link", "bob-link"])
def test_a_link_that_is_lost_before_the_outcomes_is_no_abort(stage: Any, wire_name: str) -> None:
    def cut(name: str, way: str, number: int, payload: bytes) -> list[bytes] | None:
        return None if (name, way, number) == (wire_name, "back", 1) else [payload]

    ran = stage.run(tamper=cut)
    for each in (ran.alice, ran.bob):
        assert isinstance(each.error, BackendUnavailable), each
    assert_no_key(stage)


def test_a_link_that_is_lost_after_the_outcomes_is_not_missed(stage: Any) -> None:
    def cut(name: str, way: str, number: int, payload: bytes) -> list[bytes] | None:
        return None if (name, way, number) == ("alice-link", "out", 2) else [payload]

    ran = stage.run(tamper=cut)
    assert ran.alice.document["key_id"] == ran.bob.document["key_id"] is not None
    assert ran.link.reason == "peer"


def dealt(change: Callable[[wire.Outcomes], wire.Outcomes], *, to: str) -> Any:
    """The link's outcomes for one party, changed."""

    def tamper(name: str, way: str, number: int, payload: bytes) -> list[bytes]:
        if (name, way, number) != (f"{to}-link", "back", 1):
            return [payload]
        outcomes = wire.decode_from_link(payload)
        assert isinstance(outcomes, wire.Outcomes)
        return [wire.encode(change(outcomes))]

    return tamper


def two_node(outcomes: wire.Outcomes) -> wire.Outcomes:
    """The link boasts of its device, in the words of another version."""
    jobs = json.loads(outcomes.jobs)
    jobs[0]["claim"] = int(Claim.TWO_NODE)
    return wire.Outcomes(outcomes.bits, outcomes.order_seed, json.dumps(jobs).encode())


@pytest.mark.parametrize(
    ("to", "change"),
    [
        ("alice", lambda o: wire.Outcomes(bytes(3750), o.order_seed, o.jobs)),
        ("bob", lambda o: wire.Outcomes(None, o.order_seed, o.jobs)),
        ("bob", lambda o: wire.Outcomes(o.bits[:-1], o.order_seed, o.jobs)),
        ("bob", lambda o: wire.Outcomes(o.bits, o.order_seed, b"[]")),
        ("bob", lambda o: wire.Outcomes(o.bits, o.order_seed, b"{")),
        ("bob", two_node),
    ],
)
def test_outcomes_that_no_honest_link_deals_are_refused(
    stage: Any, to: str, change: Callable[[wire.Outcomes], wire.Outcomes]
) -> None:
    ran = stage.run(tamper=dealt(change, to=to))
    assert ran.alice.reason == ran.bob.reason == "peer"
    assert_no_key(stage)


def test_the_jobs_reach_the_parties_as_the_link_describes_them() -> None:
    origin = Provenance(
        tier=Tier.QPU,
        claim=Claim.SAME_CHIP,
        backend="x",
        provider="x",
        device="x",
        kind=Kind.QPU,
        job_id="1",
        program_digest="",
        sdk={},
    )
    assert wire.unpack_jobs(wire.pack_jobs((origin,))) == (origin,)
