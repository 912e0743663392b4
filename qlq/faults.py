"""What can be wrong, as closed lists: the reasons that errors carry and documents show."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class JobFault(StrEnum):
    """Why a job has no shots, as far as it decides what happens next."""

    FAILED = "failed"
    """It ended without them; what the vendor said is the error's reason."""
    CANCELLED = "cancelled"
    """Somebody ended it."""
    UNKNOWN = "unknown job"
    """The backend does not know it: perhaps it is another account's, which says nothing of it."""
    PENDING = "pending"
    """It may still have some."""


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
    SOURCE_TOO_LONG = 27
    """More of contracts' sources than a block takes."""
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
    NEW_KEY_INVALID = 95
    """No key, or without proof that somebody holds it."""

    @property
    def word(self) -> str:
        """The fault as documents name it, for example `nonce-gap`."""
        return self.name.lower().replace("_", "-")


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


class ProofFault(StrEnum):
    """What is wrong with a proof; the value is the word that documents show."""

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
    CHAIN = "chain"
    """It is about another chain than the one that is trusted, or than itself says."""
    VALIDATORS = "validators"
    """Another set of validators than the one that is trusted or follows from the beginning."""
    CERTIFICATE = "certificate"
    """The commit certificate does not make this block final."""
    CHECKPOINT = "checkpoint"
    """Another checkpoint than the one that is trusted."""
    SIGNATURE = "signature"
    """No validator signed the checkpoint, or a signature does not fit."""
    ENTRY = "entry"
    """Another transaction, receipt or entry than the one it is about."""
    DOCUMENT = "document"
    """What people read in it is not what its bytes say."""


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
