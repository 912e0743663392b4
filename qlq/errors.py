"""Every error that QLQ raises on purpose.

QLQError
  ConfigError            the operator's file, flag or folder cannot be used
    BudgetRefused        the operator's budget or consent does not cover what was asked
  BackendError           no shots
    BackendUnavailable     this backend cannot be used now; another one may be
    CircuitRejected        the program is outside the profile or the device
    JobFailed              the job ended without shots (job_id, fault)
      JobPending             none yet: a job was accepted, or may have been; never another backend
  ProtocolAbort          the protocol did its duty; no key exists
    QBERTooHigh            error rate above the tolerated one, in one of the bases
    BellTestFailed         the CHSH value does not exceed the classical bound
    TooFewRounds           sifting left fewer rounds than were committed to
    LeakageExceeded        reconciliation revealed more than was committed to
    VerificationMismatch   the reconciled keys differ
    AuthenticationFailed   a tag of the peer does not fit the transcript
    KeyTooShort            the finite-key bound leaves no bit
    PeerAborted            the other party ended the session
  EntropyRefused         random bits below their claim
    HealthTestFailed       a health test stopped the source (test, qubit, count, cutoff)
    MinEntropyTooLow       the data hold less than is claimed or asked of them
    TooFewSamples          not enough data to say anything about them
  KeyStoreError          KeyNotFound | KeyAlreadyDelivered | KeysExhausted
    KeyStoreDamaged      bytes of the store have changed; nothing in it is used any more
  LedgerError            the ledger cannot do what was asked
    LedgerDamaged          bytes of the ledger have changed, or do not follow from each other
    BlockMissing           this node has voted on a block that no log has any more (height, block)
  CryptoError            BadSignature | BadTag
  ArchiveInvalid         an archive that does not verify (findings)
  InvalidPulse           a beacon pulse or chain that does not verify (reason, index)
  InvalidTransaction     a transaction that is refused or has no effect (reason)
  InvalidBlock           a block that does not follow from the state before it (reason, height)
  InvalidProof           a proof that does not show what it is said to show (reason)
  InvalidVote            a validator's vote or statement that does not verify (reason)
  InvalidCertificate     a quorum certificate, or an opening, that does not verify (reason)
  ContractError          a contract cannot be used as it is
    CompileError           its source is not in the contract language (line, column, hint)
    CallFailed             a call was refused, reverted or ran out of gas (status, reason, line)
  PeerError              LocalMisuse (ours to fix) | RemoteMisuse (drop the peer)
    OutOfTurn              a RemoteMisuse: the message does not belong to this phase
InvariantBroken          not a QLQError: our bug; nobody catches it

Errors carry data, their message says what to do next, and none holds key material.
"""

from __future__ import annotations

from qlq.faults import (
    BlockFault,
    CertificateFault,
    JobFault,
    ProofFault,
    PulseFault,
    TransactionFault,
    VoteFault,
)


class QLQError(Exception):
    """Base of every error raised on purpose."""


class ConfigError(QLQError):
    """A file, flag, setting or folder of the operator cannot be used."""


class BudgetRefused(ConfigError):
    """The operator's budget or consent does not cover what was asked."""


class BackendError(QLQError):
    """No shots were obtained."""


class BackendUnavailable(BackendError):
    """This backend cannot be used now. The only error that may lead to another backend."""


class CircuitRejected(BackendError):
    """The program is outside the QLQ profile, or the device cannot run it."""


class JobFailed(BackendError):
    """A job ended without shots.

    Attributes:
        job_id: The vendor's id of the job.
        reason: What the vendor said.
        fault: What it means.
    """

    def __init__(
        self, message: str, *, job_id: str, reason: str, fault: JobFault = JobFault.FAILED
    ) -> None:
        """Keep the id, so that the operator can look the job up."""
        super().__init__(message)
        self.job_id = job_id
        self.reason = reason
        self.fault = fault


class JobPending(JobFailed):
    """A job has no shots yet, and may still give them: it was accepted, or may have been.

    Never leads to another backend: two jobs would be paid for one key. `job_id` is empty where
    the answer to a submit was lost.
    """

    def __init__(self, message: str, *, job_id: str, reason: str) -> None:
        """Keep the id, so that the operator can come back to the job."""
        super().__init__(message, job_id=job_id, reason=reason, fault=JobFault.PENDING)


class ProtocolAbort(QLQError):
    """The protocol ended without a key, as it must. Never leads to another backend.

    Attributes:
        reason: A short machine-readable name, the same in documents and in messages.
    """

    reason = "abort"


class QBERTooHigh(ProtocolAbort):
    """The error rate of one basis is above the tolerated one, or not a number."""

    reason = "qber"

    def __init__(self, *, basis: str, qber: float, qber_max: float) -> None:
        """Keep the basis and both rates."""
        super().__init__(
            f"QBER in the {basis} basis is {qber:.2%}, tolerated {qber_max:.2%}: "
            "look for an eavesdropper, or choose better qubits"
        )
        self.basis = basis
        self.qber = qber
        self.qber_max = qber_max


class BellTestFailed(ProtocolAbort):
    """The CHSH value does not exceed 2 by three standard errors."""

    reason = "chsh"

    def __init__(self, *, s: float, sigma: float) -> None:
        """Keep the value and its standard error."""
        super().__init__(
            f"CHSH S = {s:.3f} +- {sigma:.3f} does not exceed 2 by three standard errors: "
            "the pairs are not entangled enough, or someone measured them"
        )
        self.s = s
        self.sigma = sigma


class TooFewRounds(ProtocolAbort):
    """Sifting left fewer rounds than were committed to before the first pulse."""

    reason = "too-few-rounds"


class LeakageExceeded(ProtocolAbort):
    """Information reconciliation would reveal more than was committed to."""

    reason = "leakage"


class VerificationMismatch(ProtocolAbort):
    """The reconciled keys of the two parties differ."""

    reason = "verification"


class AuthenticationFailed(ProtocolAbort):
    """A tag of the peer does not fit the transcript."""

    reason = "authentication"


class KeyTooShort(ProtocolAbort):
    """The finite-key bound leaves no secret bit."""

    reason = "key-too-short"


class PeerAborted(ProtocolAbort):
    """The other party ended the session; its reason is in the message."""

    reason = "peer"


class EntropyRefused(QLQError):
    """Random bits are below their claim."""


class HealthTestFailed(EntropyRefused):
    """A health test stopped the source; the batch is discarded.

    Attributes:
        test: "repetition count" or "adaptive proportion".
        qubit: Column of the failing stream, None for the serialised stream of all columns.
        count: Repetitions, or occurrences within the window, that were seen.
        cutoff: The count at which the test fails.
    """

    def __init__(self, *, test: str, qubit: int | None, count: int, cutoff: int) -> None:
        """Keep which test failed, where, and by how much."""
        where = "the serialised stream" if qubit is None else f"qubit {qubit}"
        super().__init__(
            f"the {test} test failed on {where}: {count} reaches the cutoff {cutoff}; the batch is "
            "discarded: start the source anew, and choose other qubits if it fails again"
        )
        self.test = test
        self.qubit = qubit
        self.count = count
        self.cutoff = cutoff


class MinEntropyTooLow(EntropyRefused):
    """Data hold less min-entropy than is claimed or asked of them."""


class TooFewSamples(EntropyRefused):
    """Data are too few to be assessed or tested, whatever they hold."""


class KeyStoreError(QLQError):
    """A key store cannot do what was asked."""


class KeyNotFound(KeyStoreError):
    """No key with this id is in the store."""


class KeyAlreadyDelivered(KeyStoreError):
    """The key has left the store once; it is never delivered again."""


class KeysExhausted(KeyStoreError):
    """Not enough key is left."""


class KeyStoreDamaged(KeyStoreError):
    """Bytes of the store are not those that were written; nothing in it is to be trusted."""


class LedgerError(QLQError):
    """The ledger cannot do what was asked."""


class LedgerDamaged(LedgerError):
    """Bytes of the ledger are not those that were written, or do not follow from each other."""


class BlockMissing(LedgerError):
    """This node has voted on a block of the next height, and no log has it any more.

    Attributes:
        height: Of the block.
        block: Its hash.
    """

    def __init__(self, *, height: int, block: bytes, way_out: str) -> None:
        """Keep which block it is; the message ends with the way out."""
        super().__init__(
            f"this node has voted on block {height} ({block.hex()}), and its engine's log has not "
            f"got it any more: {way_out}"
        )
        self.height = height
        self.block = block


class CryptoError(QLQError):
    """A cryptographic check failed."""


class BadSignature(CryptoError):
    """A signature does not fit its message."""


class BadTag(CryptoError):
    """An authentication tag does not fit its message: wrong key, or changed bytes."""


class ArchiveInvalid(QLQError):
    """An archive does not verify."""


class InvalidPulse(QLQError):
    """A beacon pulse, or a chain of them, does not verify.

    Attributes:
        reason: What is wrong.
        index: The pulse's index; None where it has none.
    """

    def __init__(self, reason: PulseFault, *, index: int | None, detail: str) -> None:
        """Keep the reason and the place; the detail says what was found."""
        place = "the chain" if index is None else f"pulse {index}"
        super().__init__(f"{place}: {reason.value}: {detail}")
        self.reason = reason
        self.index = index


class InvalidTransaction(QLQError):
    """A transaction that no block may hold, or that had no effect.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, reason: TransactionFault, detail: str) -> None:
        """Keep the reason; the detail says what was found, and what to do."""
        super().__init__(f"{reason.word}: {detail}")
        self.reason = reason


class InvalidBlock(QLQError):
    """A block that does not follow from the state before it.

    Attributes:
        reason: What is wrong.
        height: Of the block.
    """

    def __init__(self, reason: BlockFault, *, height: int, detail: str) -> None:
        """Keep the reason and the height."""
        super().__init__(f"block {height}: {reason.value}: {detail}")
        self.reason = reason
        self.height = height


class InvalidProof(QLQError):
    """A proof does not show what it is said to show.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, reason: ProofFault, detail: str) -> None:
        """Keep the reason; the detail says what was found."""
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason


class InvalidVote(QLQError):
    """A vote, a statement or a charge against a validator does not verify.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, reason: VoteFault, detail: str) -> None:
        """Keep the reason; the detail says what was found."""
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason


class InvalidCertificate(QLQError):
    """A quorum certificate, or the opening of an epoch, does not verify.

    Attributes:
        reason: What is wrong.
        height: Of the block it is about.
    """

    def __init__(self, reason: CertificateFault, *, height: int, detail: str) -> None:
        """Keep the reason and the height; the detail says what was found."""
        super().__init__(f"height {height}: {reason.value}: {detail}")
        self.reason = reason
        self.height = height


class ContractError(QLQError):
    """A contract cannot be used as it is."""


class CompileError(ContractError):
    """A source is not in the contract language.

    Attributes:
        file: Name of the source, for people.
        line: From 1.
        column: From 1.
        message: What is wrong.
        hint: What to write instead.
    """

    def __init__(
        self, message: str, *, hint: str, file: str, line: int, column: int, excerpt: str
    ) -> None:
        """Keep the place; the excerpt is the line of the source and the marks under it."""
        super().__init__(f"{file}:{line}:{column}: {message} ({hint})\n{excerpt}".rstrip("\n"))
        self.file = file
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint


class CallFailed(ContractError):
    """A call of a contract was refused, reverted, or ran out of gas.

    Attributes:
        message: In the contract's own words, or what was found.
        status: `refused`, `reverted` or `out-of-gas`.
        reason: The reason's word, for example `assertion` or `insufficient-balance`.
        contract: Name of the contract in which it failed.
        line: Of that contract's source; 0 where there is none.
    """

    def __init__(self, message: str, *, status: str, reason: str, contract: str, line: int) -> None:
        """Keep the place and the reason."""
        place = f"{contract}, line {line}" if line else contract
        super().__init__(f"{status} in {place}: {message}")
        self.message = message
        self.status = status
        self.reason = reason
        self.contract = contract
        self.line = line


class PeerError(QLQError):
    """A state machine was driven wrongly."""


class LocalMisuse(PeerError):
    """Our own code drove the state machine wrongly."""


class RemoteMisuse(PeerError):
    """The peer sent what it must not send; drop it."""


class OutOfTurn(RemoteMisuse):
    """The message does not belong to the phase the receiver is in."""


class InvariantBroken(Exception):
    """A bug of ours. Not a QLQError: nobody catches it."""


def require(condition: bool, message: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Refuse what a peer sent; raises RemoteMisuse unless the condition holds."""
    if not condition:
        raise RemoteMisuse(message)
