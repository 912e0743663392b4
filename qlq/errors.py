"""Every error that QLQ raises on purpose.

QLQError
  ConfigError            the operator's file, flag or folder cannot be used
    BudgetRefused        the operator's budget or consent does not cover what was asked
  BackendError           no shots
    BackendUnavailable     this backend cannot be used now; another one may be
    CircuitRejected        the program is outside the profile or the device
    JobFailed              the job ended without shots (job_id)
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
    MinEntropyTooLow       the data cannot be assessed, or hold less than is claimed of them
  KeyStoreError          KeyNotFound | KeyAlreadyDelivered | KeysExhausted
    KeyStoreDamaged      bytes of the store have changed; nothing in it is used any more
  LedgerError            the ledger cannot do what was asked
    LedgerDamaged          bytes of the ledger have changed, or do not follow from each other
  CryptoError            BadSignature | BadTag
  ArchiveInvalid         an archive that does not verify (findings)
  InvalidPulse           a beacon pulse or chain that does not verify (reason, index)
  InvalidTransaction     a transaction that is refused or has no effect (reason)
  InvalidBlock           a block that does not follow from the state before it (reason, height)
  InvalidProof           a proof that does not show what it is said to show (reason)
  InvalidVote            a validator's vote or statement that does not verify (reason)
  InvalidCertificate     a quorum certificate, or an opening, that does not verify (reason)
  PeerError              LocalMisuse (ours to fix) | RemoteMisuse (drop the peer)
    OutOfTurn              a RemoteMisuse: the message does not belong to this phase
InvariantBroken          not a QLQError: our bug; nobody catches it

Errors carry data, their message says what to do next, and none holds key material.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


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
    """

    def __init__(self, message: str, *, job_id: str, reason: str) -> None:
        """Keep the id, so that the operator can look the job up."""
        super().__init__(message)
        self.job_id = job_id
        self.reason = reason


class JobPending(JobFailed):
    """A job has no shots yet, and may still give them: it was accepted, or may have been.

    Never leads to another backend: two jobs would be paid for one key. `job_id` is empty where
    the answer to a submit was lost.
    """


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
            "discarded: choose other qubits or claim less entropy, and start the source anew"
        )
        self.test = test
        self.qubit = qubit
        self.count = count
        self.cutoff = cutoff


class MinEntropyTooLow(EntropyRefused):
    """Data are too few or too regular for the min-entropy that is asked of them."""


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


class CryptoError(QLQError):
    """A cryptographic check failed."""


class BadSignature(CryptoError):
    """A signature does not fit its message."""


class BadTag(CryptoError):
    """An authentication tag does not fit its message: wrong key, or changed bytes."""


class ArchiveInvalid(QLQError):
    """An archive does not verify."""


class PulseFault(StrEnum):
    """What is wrong with a beacon pulse; the value is the word that documents show."""

    MALFORMED = "malformed"
    """The bytes are no pulse in canonical form."""
    SIGNATURE = "signature"
    """The signature is not the chain's key's of these bytes."""
    SIGNER = "signer"
    """The pulse names another key than the chain's, or the chain has another key than wanted."""
    PREVIOUS = "previous"
    """The previous digest is not that of the pulse before."""
    PRECOMMITMENT = "precommitment"
    """The local value is not the one that the pulse before had committed to, or none was."""
    VALUE = "value"
    """The value does not follow from the value before and the local value."""
    GAP = "gap"
    """One or more pulses are missing."""
    FORK = "fork"
    """Two pulses of one index differ."""
    SKIP_LIST = "skip-list"
    """The skip list does not name the earlier pulses that it has to."""
    TIME = "time"
    """The time does not go forward."""
    STATUS = "status"
    """The status is not what index and time make it."""
    CLAIM = "claim"
    """The claim is above what the tier allows."""
    RESERVED = "reserved"
    """A field that this version leaves empty is not."""
    EMPTY = "empty"
    """There is no pulse at all."""
    TORN = "torn"
    """The file ends within a pulse: cut off, lengthened, or being written."""


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


class TransactionFault(IntEnum):
    """Why a transaction is refused, or has no effect; receipts hold the number.

    Numbers below 64 refuse a transaction before it is in a block. From 64 on, it is in a block,
    has paid its fee and used its nonce, and changed nothing else.
    """

    MALFORMED = 1
    """Bytes that are not canonical, or a field outside its range."""
    CHAIN = 2
    """Made for another chain."""
    EXPIRED = 3
    """The last height at which it was valid has passed."""
    EXPIRY_TOO_FAR = 4
    """Valid for longer than the chain allows a transaction to wait."""
    NONCE_USED = 5
    """The sender has used this nonce: a replay, or a second one in its place."""
    NONCE_GAP = 6
    """An earlier nonce of the sender is missing."""
    UNKNOWN_SENDER = 7
    """The chain knows no such account."""
    KEY_MISSING = 8
    """The account's first transaction shows no key."""
    KEY_MISMATCH = 9
    """The key shown is not the account's."""
    ALGORITHM = 10
    """The signature is of another algorithm than the account's key."""
    SIGNATURE = 11
    """The signature does not fit: another key, message or context."""
    SIGNER_MISSING = 12
    """An account that gives something away has not signed."""
    SIGNER_UNNEEDED = 13
    """Somebody signed who need not, or twice."""
    FEE_TOO_LOW = 14
    """Below what the chain asks."""
    FEE_UNAFFORDABLE = 15
    """The sender cannot pay the fee, the gas and the deposit that it offers."""
    QUOTA = 16
    """The account has more transactions waiting than its quota."""
    AMOUNT_ZERO = 17
    AMOUNT_NEGATIVE = 18
    AMOUNT_TOO_LARGE = 19
    """Above 2^63 - 1."""
    SELF_TRANSFER = 20
    """A leg whose two ends are one account."""
    DUPLICATE = 21
    """It waits already."""
    REPLACEMENT_FEE_TOO_LOW = 22
    """In place of a waiting one it must offer at least a tenth more."""
    MEMPOOL_FULL = 23
    PEER_QUOTA = 24
    """Too many, or too many bytes, from one peer."""
    GAS_TOO_HIGH = 25
    """More gas than one transaction may ask for."""
    BLOCK_FULL = 26
    """No room in this block."""
    SEAL_MISMATCH = 32
    """The envelope differs from what the sender signed."""
    SEAL_KEY_UNKNOWN = 33
    """A key that this validator does not have."""
    SEAL_KEY_REUSED = 34
    """A quantum-distributed key that has sealed before."""
    SEAL_BROKEN = 35
    """The envelope does not open."""
    SEAL_NOT_FOR_US = 36
    """This validator is not among the readers."""
    SEAL_TOO_LARGE = 37
    SEAL_POLICY = 38
    """A kind of sealing that the claim of the key does not allow."""

    INSUFFICIENT_BALANCE = 64
    BALANCE_OVERFLOW = 65
    """The receiver's balance would be above 2^63 - 1."""
    UNKNOWN_ACCOUNT = 66
    """The receiver has to be enrolled first."""
    UNKNOWN_ASSET = 67
    SYMBOL_TAKEN = 68
    NOT_ISSUER = 69
    SUPPLY_OVERFLOW = 70
    """The supply would be above its cap."""
    UNKNOWN_ESCROW = 71
    NOT_ARBITER = 72
    ESCROW_EXPIRED = 73
    """The arbiter can only void it now."""
    ESCROW_OPEN = 74
    """Until its height only the arbiter decides."""
    ALREADY_ANCHORED = 75
    ALREADY_ENROLLED = 76
    NOT_ADMIN = 77
    SAME_KEY = 78
    VALIDATORS_PENDING = 79
    """A change of validators waits for its height."""
    NO_QUORUM = 80
    """Too few validators have signed the change."""
    NO_BEACON = 81
    """The chain has no beacon."""
    PULSE_INVALID = 82
    """The pulse does not continue the chain's beacon."""
    STATE_QUOTA = 83
    """The account has made more entries than its quota."""
    DEPOSIT_UNAFFORDABLE = 84
    """The sender cannot pay the deposit for the entries it makes."""
    UNKNOWN_CONTRACT = 85
    CODE_MISMATCH = 86
    """The source does not compile to the code that the transaction names."""
    SOURCE_REFUSED = 87
    """The source does not compile."""
    CALL_REFUSED = 88
    """No such method, or arguments that do not fit."""
    REVERTED = 89
    OUT_OF_GAS = 90
    NOT_UPGRADABLE = 91
    UPGRADE_REFUSED = 92
    """Not announced, too early, or it removes or retypes a field."""
    CONTRACTS_ABSENT = 93
    """This chain runs no contracts."""
    VALIDATORS_INVALID = 94
    """The new set is no set of validators."""

    @property
    def word(self) -> str:
        """The fault as documents name it, for example `nonce-gap`."""
        return self.name.lower().replace("_", "-")


class InvalidTransaction(QLQError):
    """A transaction that no block may hold, or that had no effect.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, reason: TransactionFault, detail: str) -> None:
        """Keep the reason; the detail says what was found, and what to do."""
        super().__init__(f"{reason.word}: {detail}")
        self.reason = reason


class BlockFault(StrEnum):
    """What is wrong with a block; the value is the word that documents show."""

    MALFORMED = "malformed"
    CHAIN = "chain"
    HEIGHT = "height"
    """It does not follow the tip."""
    PARENT = "parent"
    TIME = "time"
    """Not after its parent, or too far ahead."""
    PROPOSER = "proposer"
    """Not the one whose turn it is."""
    VALIDATORS = "validators"
    """It names another set of validators than the state's."""
    PARAMETERS = "parameters"
    BEACON = "beacon"
    """It does not name the latest pulse of the state."""
    TRANSACTION = "transaction"
    """It holds one that may not be in a block."""
    TX_ROOT = "tx-root"
    RECEIPT_ROOT = "receipt-root"
    STATE_ROOT = "state-root"
    LOG_ROOT = "log-root"


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


class ProofFault(StrEnum):
    """What is wrong with a proof about a tree; the value is the word that documents show."""

    MALFORMED = "malformed"
    """Not a proof in canonical form."""
    RANGE = "range"
    """It is about an index or a size that no tree has."""
    LENGTH = "length"
    """Another number of hashes than this place has."""
    ROOT = "root"
    """It leads to another root."""
    KIND = "kind"
    """It shows presence where absence was to be shown, or the other way round."""
    OFF_PATH = "off-path"
    """The leaf that it shows does not lie on the key's path."""


class InvalidProof(QLQError):
    """A proof does not show what it is said to show.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, reason: ProofFault, detail: str) -> None:
        """Keep the reason; the detail says what was found."""
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason


class VoteFault(StrEnum):
    """What is wrong with something that a validator signed; the value is the word in documents."""

    CHAIN = "chain"
    """Made for another chain."""
    HEIGHT = "height"
    VALIDATORS = "validators"
    """It names another set of validators."""
    SIGNER = "signer"
    """Not a validator of this set."""
    SIGNATURE = "signature"
    """The signature is not the signer's of this."""
    CONSISTENT = "consistent"
    """Two votes that one validator may cast both: they show no fault of its."""


class InvalidVote(QLQError):
    """A vote, a statement or a charge against a validator does not verify.

    Attributes:
        reason: What is wrong.
    """

    def __init__(self, reason: VoteFault, detail: str) -> None:
        """Keep the reason; the detail says what was found."""
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason


class CertificateFault(StrEnum):
    """What is wrong with a certificate; the value is the word that documents show."""

    HEIGHT = "height"
    EPOCH = "epoch"
    """A lock that is not older than the epoch it is shown for."""
    ROUND = "round"
    """A prepare certificate in place of a commit certificate, or the other way round."""
    VALIDATORS = "validators"
    """It names another set of validators."""
    BITMAP = "bitmap"
    """Another length than the set needs, or bits that stand for nobody."""
    COUNT = "count"
    """Another number of signatures than of bits."""
    ORDER = "order"
    """Statements that are not in the order of their signers, or twice."""
    QUORUM = "quorum"
    """Fewer than n - f validators."""
    SIGNATURE = "signature"
    """One of the signatures does not fit."""
    CONFLICT = "conflict"
    """Two certificates that exclude each other: more than f validators lie."""


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
