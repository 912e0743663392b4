"""What an audit compares beside the blocks: index, state, votes, data, and the order of rows."""

from __future__ import annotations

from qlq import codec
from qlq.consensus import certificate as certificates
from qlq.consensus import epochs, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.epochs import SignedStatement
from qlq.consensus.phases import Record
from qlq.consensus.votes import Evidence, SignedVote
from qlq.errors import BadTag, InvalidCertificate, InvalidVote, RemoteMisuse
from qlq.ledger import store
from qlq.ledger.block import Header
from qlq.ledger.merkle import Frontier
from qlq.ledger.state import State
from qlq.ledger.store_file import StorageSeal
from qlq.ledger.store_rows import LedgerRows, blob
from qlq.node.audit_bodies import BodyAudit
from qlq.node.audit_headers import BLOCKS, HANDOVERS, HeaderAudit
from qlq.node.findings import Findings

TRANSACTIONS, STATE, RECORDS, DATA = "transactions", "state", "records", "data"
NO_LOG = Frontier()


def slots(rows: LedgerRows, findings: Findings) -> list[tuple[int, int]]:
    """Height of each block and of the row that holds it, ascending.

    A row whose header belongs to another height, and is what the hash beside it says, is taken
    for the block of that height.
    """
    found: dict[int, int] = {}
    moved: list[tuple[int, int]] = []
    for height in rows.heights():
        row = rows.header(height)
        header = None if row is None else header_of(blob(row[0]), blob(row[1]))
        own = height if header is None else header.height
        if own == height:
            found[height] = height
        else:
            moved.append((own, height))
    for own, height in moved:
        findings.add(BLOCKS, own, "height", str(own), str(height))
        found.setdefault(own, height)
    return sorted(found.items())


def header_of(found: bytes, header_bytes: bytes) -> Header | None:
    """The header in a row, if it is what the hash beside it says."""
    try:
        header: Header = codec.decode(header_bytes, Header)
    except RemoteMisuse:
        return None
    return header if header.hash == found else None


def check_voters(headers: HeaderAudit, bodies: BodyAudit, findings: Findings) -> None:
    """The state knows who votes next; the handovers must say the same."""
    voters = bodies.voters
    if voters is not None and voters.hash != headers.voters.hash:
        expected = f"a handover to set {voters.hash.hex()}"
        findings.add(HANDOVERS, headers.progress.height, "handover", expected, "none that holds")
        headers.voters = voters


def check_index(rows: LedgerRows, bodies: BodyAudit, findings: Findings) -> None:
    """The index of transactions holds exactly those of the blocks."""
    missing = dict(bodies.places)
    for id_, height, position in rows.transactions():
        expected = missing.pop(blob(id_), None)
        found = (height, position)
        if expected is None and height in bodies.unknown:
            continue
        if expected != found:
            wanted = "no such transaction" if expected is None else _place(expected)
            findings.add(TRANSACTIONS, height, blob(id_).hex(), wanted, _place(found))
    for id_, place in missing.items():
        findings.add(TRANSACTIONS, place[0], id_.hex(), _place(place), "none")


def check_state(
    rows: LedgerRows,
    seals: StorageSeal,
    bodies: BodyAudit,
    last: Header | None,
    findings: Findings,
) -> None:
    """The table holds the state after the last block, entry by entry."""
    height = bodies.height
    entries: dict[bytes, bytes] = {}
    is_whole = True
    for place, sealed in rows.state():
        try:
            key, value = seals.unseal_entry(blob(place), blob(sealed))
        except BadTag as error:
            shown = blob(place).hex()
            findings.add(STATE, height, "entry", "sealed for its place", f"{shown}: {error}")
            is_whole = False
            continue
        entries[key] = value
    if bodies.state is not None:
        _compare_entries(entries, dict(bodies.state.items()), seals, height, findings)
    elif is_whole and last is not None and State(entries).tree.root != last.state_root:
        expected, found = last.state_root.hex(), State(entries).tree.root.hex()
        findings.add(STATE, height, "root", expected, found)


def _compare_entries(
    found: dict[bytes, bytes],
    expected: dict[bytes, bytes],
    seals: StorageSeal,
    height: int,
    findings: Findings,
) -> None:
    """Places, not contents, are named: what the state says of anybody is no part of a report."""
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            wanted = "an entry" if key in expected else "none"
            shown = "another one" if key in expected and key in found else "an entry"
            shown = shown if key in found else "none"
            findings.add(STATE, height, seals.place(key).hex(), wanted, shown)


def check_records(
    rows: LedgerRows, seals: StorageSeal | None, headers: HeaderAudit, findings: Findings
) -> None:
    """Votes, locks, statements and evidence are those that were written, and verify."""
    for number, height, kind, data, tag in rows.records():
        field = f"record {number}"
        if seals is not None and seals.tag((number, height, kind, blob(data))) != blob(tag):
            findings.add(RECORDS, height, field, "the row that was written", "another one")
            continue
        try:
            record = store.read_record(kind, blob(data))
            _verify(record, headers)
        except (RemoteMisuse, ValueError, InvalidVote, InvalidCertificate) as error:
            findings.add(RECORDS, height, field, "a record that verifies", str(error))


def _verify(record: Record, headers: HeaderAudit) -> None:
    """Verify what the present set said, or the one that voted on the last block.

    What an earlier set said stays as evidence only, and was verified when it was kept.
    """
    chain = headers.progress.chain
    sets = {one.hash: one for one in (headers.voters, headers.last_voters)}
    validators = sets.get(_validators_hash(record))
    match record:
        case Evidence() if validators is None:
            return
        case _ if validators is None:
            raise RemoteMisuse("a record of another set of validators")
        case SignedVote():
            votes.verify(record, chain=chain, validators=validators)
        case QuorumCertificate():
            certificates.verify(record, chain=chain, validators=validators)
        case SignedStatement():
            epochs.verify(record, chain=chain, validators=validators)
        case Evidence():
            votes.verify_evidence(record, chain=chain, validators=validators)


def _validators_hash(record: Record) -> bytes:
    """Of the set that a record names."""
    match record:
        case SignedVote():
            return record.vote.validators_hash
        case QuorumCertificate():
            return record.validators_hash
        case SignedStatement():
            return record.statement.validators_hash
        case Evidence():
            return record.first.vote.validators_hash


def check_data(rows: LedgerRows, seals: StorageSeal, findings: Findings) -> None:
    """Data outside the chain open for their commitments."""
    for commitment, sealed in rows.data():
        try:
            seals.unseal(blob(sealed), "data", blob(commitment))
        except BadTag as error:
            expected = f"sealed for commitment {blob(commitment).hex()}"
            findings.add(DATA, None, "sealed", expected, str(error))


def _place(place: tuple[int, int]) -> str:
    return f"block {place[0]}, index {place[1]}"
