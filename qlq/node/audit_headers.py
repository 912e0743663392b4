"""The public half of an audit: headers, certificates and validators, which need no key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qlq import codec
from qlq.consensus import certificate as certificates
from qlq.consensus.validators import Validators
from qlq.consensus.votes import Round
from qlq.errors import InvalidCertificate, InvalidProof, RemoteMisuse
from qlq.ledger import base as bases
from qlq.ledger import handover as handovers
from qlq.ledger import header_chain
from qlq.ledger.base import Base
from qlq.ledger.block import Header
from qlq.ledger.genesis import Genesis
from qlq.ledger.handover import Handover
from qlq.node.findings import Findings

BLOCKS, HANDOVERS, BASE = "blocks", "handovers", "base"


class HeaderAudit:
    """Looks at headers one after the other, and goes on behind damage."""

    def __init__(self, genesis: Genesis, findings: Findings) -> None:
        """Begin before the first block."""
        self._findings = findings
        self._handovers: dict[int, Handover] = {}
        self.voters: Validators = genesis.validators
        """The set that votes on the next block."""
        self.last_voters = self.voters
        """The set that voted on the last one; what it said of it is kept until the next one."""
        self.progress = header_chain.begin(genesis)

    def take_handovers(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Take in the rows of handovers; each is checked when its block comes."""
        for height, data in rows:
            try:
                found = handovers.decode(data)
            except InvalidProof as error:
                self._findings.add(HANDOVERS, height, "handover", "a handover", str(error))
                continue
            if found.header.height != height:
                expected, shown = str(found.header.height), str(height)
                self._findings.add(HANDOVERS, height, "height", expected, shown)
            self._handovers[found.header.height] = found

    def take_base(self, data: bytes, height: int) -> Base | None:
        """Begin behind the base of a restored ledger; None if it is damaged."""
        chain = self.progress.chain
        try:
            base = bases.decode(data)
        except InvalidProof as error:
            self._findings.add(BASE, height, "base", "a base", str(error))
            self.skip_to(height + 1)
            return None
        if base.header.height != height:
            self._findings.add(BASE, height, "height", str(base.header.height), str(height))
        height = base.header.height
        for place in sorted(one for one in self._handovers if one < height):
            self._hand_over(self._handovers.pop(place))
        try:
            bases.check(base, chain=chain, validators=self.voters)
        except InvalidProof as error:
            self._findings.add(BASE, height, "base", "a final block and its log", str(error))
        self.progress = replace(
            self.progress,
            height=height,
            hash=base.header.hash,
            header=base.header,
            log=base.log,
        )
        self._after(base.header)
        return base

    def check(
        self, height: int, *, found: bytes, header_bytes: bytes, certificate_bytes: bytes
    ) -> Header | None:
        """The next block's header, if it can be relied on.

        Args:
            height: Of the block.
            found: The hash beside the header; the header's own where there is none beside it.
            header_bytes: The header.
            certificate_bytes: Its certificate.
        """
        if height != self.progress.height + 1:
            self.skip_to(height)
        header = self._header(height, header_bytes)
        certified = self._certified(height, certificate_bytes)
        own = None if header is None else header.hash
        settled = certified or (own if own == found else None)
        if header is not None and own != settled:
            expected = "one of this hash" if settled is None else settled.hex()
            self._findings.add(BLOCKS, height, "header", expected, header.hash.hex())
            header = None
        if found != settled:
            expected = "that of the header" if settled is None else settled.hex()
            self._findings.add(BLOCKS, height, "hash", expected, found.hex())
        if header is not None:
            for one in header_chain.differences(self.progress, header, self.voters):
                self._findings.add(BLOCKS, height, one.fault.value, one.expected, one.found)
        self.progress = header_chain.after(self.progress, header, settled)
        self._after(header)
        return header

    def skip_to(self, height: int) -> None:
        """Go on at a height; the blocks before it are lost."""
        self.progress = replace(self.progress, height=height - 1, hash=None, header=None, log=None)

    def finish(self) -> None:
        """Name the handovers that belong to no block."""
        for height in sorted(self._handovers):
            expected = f"none after block {self.progress.height}, or of a lost block"
            self._findings.add(HANDOVERS, height, "height", expected, str(height))

    def _header(self, height: int, data: bytes) -> Header | None:
        try:
            header: Header = codec.decode(data, Header)
        except RemoteMisuse as error:
            self._findings.add(BLOCKS, height, "header", "a header", str(error))
            return None
        return header

    def _certified(self, height: int, data: bytes) -> bytes | None:
        """The hash that this height's voters made final; None if the certificate is damaged."""
        expected = f"a commit certificate of {self.voters.quorum} of {len(self.voters)} validators"
        try:
            certificate = certificates.decode(data)
            certificates.verify(certificate, chain=self.progress.chain, validators=self.voters)
        except (RemoteMisuse, InvalidCertificate) as error:
            self._findings.add(BLOCKS, height, "certificate", expected, str(error))
            return None
        if certificate.height != height or certificate.round is not Round.COMMIT:
            shown = f"{certificate.round.name.lower()} at height {certificate.height}"
            self._findings.add(BLOCKS, height, "certificate", expected, shown)
            return None
        return certificate.block

    def _after(self, header: Header | None) -> None:
        """Let the next set take over if the block has a handover."""
        self.last_voters = self.voters
        handover = self._handovers.pop(self.progress.height, None)
        if handover is None:
            return
        if header is not None and handover.header != header:
            expected, shown = header.hash.hex(), handover.header.hash.hex()
            self._findings.add(HANDOVERS, self.progress.height, "handover", expected, shown)
            return
        self._hand_over(handover)

    def _hand_over(self, handover: Handover) -> None:
        try:
            self.voters = handovers.follow(
                handover, chain=self.progress.chain, validators=self.voters
            )
        except InvalidProof as error:
            height = handover.header.height
            self._findings.add(HANDOVERS, height, "handover", "one that follows", str(error))
