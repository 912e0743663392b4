"""The page of the wire's bytes says what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from qlq.consensus import epochs, validators, votes
from qlq.consensus.certificate import QuorumCertificate
from qlq.consensus.votes import SignedVote
from qlq.faults import TransactionFault
from qlq.ledger import base, genesis, handover, parcel, proofs, sealing, transaction
from qlq.ledger.block import Block, Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.operations import Operation
from qlq.ledger.parcel import Parcel
from qlq.ledger.receipt import Event, Receipt
from qlq.ledger.sealing import SealedTransaction
from qlq.ledger.transaction import SealRecord, SignedTransaction

PAGE = (Path(__file__).parents[2] / "docs/ledger-wire.md").read_text().splitlines()
STRUCTS = (
    *(SignedTransaction, transaction.Draft, transaction.Authorisation, SealRecord, Genesis),
    *(genesis.Policy, genesis.Limits, validators.Validator, Block, Header, Receipt, Event),
    *(SignedVote, votes.Vote, QuorumCertificate, votes.Evidence, epochs.SignedStatement),
    *(epochs.Statement, SealedTransaction, sealing.Wrap, Parcel, parcel.Copy, base.Base),
    *(handover.Handover, proofs.Inclusion, proofs.Grounds, *get_args(proofs.Proof)),
    *get_args(Operation),
)


@pytest.mark.parametrize("kind", STRUCTS)
def test_the_page_has_each_struct_with_its_fields_in_order(kind: type[msgspec.Struct]) -> None:
    name, tag = kind.__name__, kind.__struct_config__.tag
    head = rf"\| {tag} \| {name} \| " if tag else rf"\| (\| )?{name}( \([^|]*\))? \| "
    (row,) = [line for line in PAGE if re.match(head, line)]
    text = re.sub(head, "", row, count=1)
    assert [*kind.__struct_fields__] == named_in(text, kind.__struct_fields__)


def named_in(text: str, fields: tuple[str, ...]) -> list[str]:
    """Fields in the order in which a row names them first."""
    places = {field: re.search(rf"(?<![\w.`]){field}(?!\w)", text) for field in fields}
    found = [(place.start(), field) for field, place in places.items() if place is not None]
    return [field for _, field in sorted(found)]


def test_the_page_has_the_number_of_each_fault() -> None:
    rows = [re.match(r"\| (\d+) \| `([a-z-]+)` \|", line) for line in PAGE]
    numbers = [(int(row[1]), row[2]) for row in rows if row is not None]
    assert numbers == [(int(fault), fault.word) for fault in TransactionFault]
