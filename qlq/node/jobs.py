"""Records of paid jobs: what is needed to finish a session or a pilot in another process, later.

    <home>/jobs/<id>/          mode 0700, files 0600
        record.json            what was ordered, the jobs, what they cost, how it ended
        plan-0.json            a submitted plan, whole: it can be checked and submitted again
        seeds.bin              every choice of both parties, sealed with the home's master key;
                               a pilot has none: what it sends is public; a link has none: they
                               are its parties' own
        turn.lock              held while a process works on the session

A record is on disk before its job is submitted, with a tag of its own by which the vendor can be
asked for the job; the job's handle follows as soon as there is one. Seeds and plans go when the
session has ended. A record is written whole or not at all, and synced.

Simulators of this machine have no records: their jobs end with the process.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from qlq.backends.port import Cost, Status
from qlq.circuit import Plan
from qlq.crypto import aead, kdf
from qlq.disk import private_files
from qlq.disk.turn import Turn
from qlq.errors import BadTag, ConfigError, KeyStoreDamaged, KeyStoreError, QLQError
from qlq.node import job_plans
from qlq.node.consent import Caps
from qlq.node.sessions import Seeds
from qlq.provenance import Attempt, vendor_ids
from qlq.qkd.parameters import Parameters

SCHEMA = "qlq.job.record/1"
FOLDER = "jobs"
RECORD = "record.json"
SEEDS = "seeds.bin"
RECORD_BYTES_MAX = 16 << 20
PLAN_BYTES_MAX = 64 << 20
ID_BYTES = 6


class Purpose(StrEnum):
    """What a record's jobs are for."""

    SESSION = "session"
    PILOT = "pilot"
    LINK = "link"
    """A session whose parties are in other processes, and end with them: nobody can resume it."""
    RANDOM = "random"
    """Random bits, or a batch of a certificate: measured anew the next time, never resumed."""

    @property
    def is_passing(self) -> bool:
        """Whether the jobs are of use to the process alone that submitted them."""
        return self in {Purpose.LINK, Purpose.RANDOM}


class State(StrEnum):
    """Where a session or a pilot with paid jobs stands."""

    WAITING = "waiting"
    """A job was submitted, or is about to be; `resume` goes on."""
    KEEPING = "keeping"
    """The key is on its way into the stores."""
    DONE = "done"
    ABORTED = "aborted"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing is left to do."""
        return self not in {State.WAITING, State.KEEPING}


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job of a session, or a pilot's.

    Attributes:
        tag: Unique word that the job carries at the vendor.
        plan_digest: `Plan.digest`.
        estimate: What it was expected to cost.
        job_id: The vendor's id; None until its answer has come.
        status: As last seen.
        spent: What it has cost, as far as the vendor has said; None if not asked yet.
    """

    tag: str
    plan_digest: str
    estimate: Cost
    job_id: str | None = None
    status: Status = Status.QUEUED
    spent: Cost | None = None


class _Head(msgspec.Struct, frozen=True):
    """What every version of a record starts from: its form, before anything else is read."""

    schema: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paid jobs and what they are for; nothing in it is secret.

    Attributes:
        id: Name of the record, 12 hex digits.
        created: ISO time, UTC.
        uri: The backend as the operator named it.
        backend: Its canonical name.
        parameters: What both parties committed to; of the planned session for a pilot; None for
            random bits.
        eve: Attack as text, None for none.
        archive: Folder of the archive, None for none.
        attempts: Backends that were tried before this one.
        caps: The most that the session may cost, as the operator has capped it.
        submissions: Its jobs in order; Eve makes a second one.
        state: Where it stands.
        key_id: Id of the key, from the moment before it is stored.
        detail: Why it failed, empty if it did not.
        result: The `qlq.qkd.run/1` document of an ended session, `qlq.pilot/1` of a pilot.
        purpose: What its jobs are for.
        pilot_shots: Shots that a pilot was ordered with; None for a session.
        agreed: What all its jobs together were expected to cost when they were agreed to; None in
            records of a time when that was a cap.
        schema: Version of this form.
    """

    id: str
    created: str
    uri: str
    backend: str
    parameters: Parameters | None
    eve: str | None
    archive: str | None
    attempts: tuple[Attempt, ...]
    caps: Caps
    submissions: tuple[Submission, ...] = ()
    state: State = State.WAITING
    key_id: str | None = None
    detail: str = ""
    result: dict[str, Any] | None = None
    purpose: Purpose = Purpose.SESSION
    pilot_shots: int | None = None
    agreed: Cost | None = None
    schema: str = SCHEMA

    @property
    def of_session(self) -> Parameters:
        """What both parties committed to; raises ConfigError for jobs that are no session's."""
        if self.parameters is None:
            raise ConfigError(f"job {self.id} is no session's: its record names no parameters")
        return self.parameters


@dataclass(frozen=True, slots=True)
class Damaged:
    """A record that cannot be read.

    Attributes:
        id: Name of its folder.
        reason: What is wrong with it.
    """

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """What lies below a home folder.

    Attributes:
        records: Newest first.
        damaged: By id.
    """

    records: list[Record]
    damaged: list[Damaged]


def new_id() -> str:
    """A fresh name for a record."""
    return secrets.token_hex(ID_BYTES)


def read_all(home: Path) -> Shelf:
    """All records below a home folder; one that cannot be read hides no other one."""
    records, damaged = [], []
    for path in (home / FOLDER).glob(f"*/{RECORD}"):
        name = path.parent.name
        if not _is_id(name):
            continue
        try:
            records.append(read(home, name))
        except ConfigError as error:
            if path.exists():  # it was discarded while we looked: nothing was accepted
                damaged.append(Damaged(name, str(error)))
    return Shelf(
        sorted(records, key=lambda record: (record.created, record.id), reverse=True),
        sorted(damaged, key=lambda found: found.id),
    )


def read(home: Path, job_id: str) -> Record:
    """The record of this id; raises ConfigError if there is none, or it cannot be read."""
    path = home / FOLDER / job_id / RECORD
    if not _is_id(job_id) or not path.is_file():
        raise ConfigError(f"no job {job_id!r} below {home / FOLDER}: qlq job list shows all")
    data = _read(path, limit=RECORD_BYTES_MAX)
    try:
        schema = msgspec.json.decode(data, type=_Head).schema
        if schema == SCHEMA:
            return msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"{path} is not a job record: {error}") from error
    raise ConfigError(f"{path} has the form {schema!r}, this version reads {SCHEMA}")


def _is_id(name: str) -> bool:
    return len(name) == 2 * ID_BYTES and all(c in "0123456789abcdef" for c in name)


def find(home: Path, text: str) -> Record:
    """The record of a session by one of its vendor's jobs, named as `URI:ID`.

    Raises:
        ConfigError: This home did not submit it, so that its seeds are not here; or it was a
            pilot's, a link's or for random bits.
    """
    shelf = read_all(home)
    for record in shelf.records:
        names = {record.uri, record.backend}
        jobs = [job.job_id for job in record.submissions if job.job_id is not None]
        ids = {*jobs, *(one for job_id in jobs for one in vendor_ids(job_id))}
        if not any(f"{name}:{job_id}" == text for name in names for job_id in ids):
            continue
        if record.purpose is Purpose.PILOT:
            raise ConfigError(
                f"job {text!r} was a pilot: qlq job resume {record.id} gives its figures"
            )
        if record.purpose.is_passing:
            raise no_way_back(record)
        return record
    unread = f" ({len(shelf.damaged)} records cannot be read)" if shelf.damaged else ""
    raise ConfigError(
        f"no record of job {text!r} below {home / FOLDER}{unread}: the shots of a job mean nothing "
        "without the settings of both parties, which only the home that submitted it has; "
        "qlq job list shows the jobs of this one"
    )


def no_way_back(record: Record) -> ConfigError:
    """What is to be said of a job that only its own process could have gone on with."""
    over = f"qlq job show {record.id} tells how it ended"
    if not record.state.is_final:
        over = f"qlq job cancel {record.id} ends what is left of it"
    why = "was a link's: its parties' states ended with their processes"
    if record.purpose is Purpose.RANDOM:
        why = "was for random bits, which are measured anew the next time"
    return ConfigError(f"job {record.id} {why}; {over}")


class OpenJob:
    """A record that this process alone works on; a context manager."""

    def __init__(self, home: Path, record: Record, turn: Turn) -> None:
        """Made by `create` and `take`."""
        self._folder = home / FOLDER / record.id
        self._turn = turn
        self.record = record

    def __enter__(self) -> Self:
        """The record itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Let others work on it."""
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the session can go on."""
        return not self.record.state.is_final and self._folder.is_dir()

    def close(self) -> None:
        """Let others work on it."""
        self._turn.give_back()

    def update(self, **changes: Any) -> None:
        """Change fields of the record, durably."""
        self.record = msgspec.structs.replace(self.record, **changes)
        _write(self._folder / RECORD, _pretty(self.record))

    def change(self, index: int, **changes: Any) -> None:
        """Change fields of one submission, durably."""
        jobs = list(self.record.submissions)
        jobs[index] = msgspec.structs.replace(jobs[index], **changes)
        self.update(submissions=tuple(jobs))

    def submit(self, plan: Plan, submission: Submission) -> None:
        """Write down a plan that is about to be submitted, durably, before the record names it."""
        index = len(self.record.submissions)
        _write(self._folder / f"plan-{index}.json", job_plans.pack(plan))
        self.update(submissions=(*self.record.submissions, submission))

    def plan(self, index: int) -> Plan:
        """The plan of a submission; raises ConfigError if its file is gone or another one."""
        path = self._folder / f"plan-{index}.json"
        plan = job_plans.unpack(_read(path, limit=PLAN_BYTES_MAX), name=str(path))
        if plan.digest != self.record.submissions[index].plan_digest:
            raise ConfigError(f"{path} is not the plan that was submitted")
        return plan

    def seeds(self, master: bytes) -> Seeds:
        """Every choice of the session.

        Raises:
            KeyStoreDamaged: The file was changed, or sealed with another master key.
        """
        path = self._folder / SEEDS
        sealed = _read(path, limit=1 << 12)
        try:
            packed = aead.unseal(_seal_key(master), sealed, aad=_bound_to(self.record))
        except BadTag as error:
            raise KeyStoreDamaged(f"{path} was changed, or has another master key") from error
        alice, bob, simulation, order = msgspec.msgpack.decode(
            packed, type=tuple[bytes, bytes, int, int]
        )
        return Seeds(
            alice=alice,
            bob=bob,
            simulation=simulation,
            order=order,
            backend=None,
            is_reproducible=False,
        )

    def end(self, state: State, **changes: Any) -> None:
        """Give the record its last state, and erase seeds and plans."""
        self.update(state=state, **changes)
        for path in (self._folder / SEEDS, *self._folder.glob("plan-*.json")):
            path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the record: nothing was accepted."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.close()


def create(home: Path, record: Record, *, seeds: Seeds, master: bytes) -> OpenJob:
    """A new session's record on disk, taken by this process.

    Raises:
        ConfigError: The home folder cannot be written.
    """
    job = _placed(home, record)
    packed = msgspec.msgpack.encode((seeds.alice, seeds.bob, seeds.simulation, seeds.order))
    sealed = aead.seal(
        _seal_key(master),
        packed,
        nonce=secrets.token_bytes(aead.NONCE_BYTES),
        aad=_bound_to(record),
    )
    _write(home / FOLDER / record.id / SEEDS, sealed)
    job.update()
    return job


def create_without_seeds(home: Path, record: Record) -> OpenJob:
    """A new record of jobs without a session's seeds on disk, taken by this process.

    Raises:
        ConfigError: The home folder cannot be written.
    """
    job = _placed(home, record)
    job.update()
    return job


def _placed(home: Path, record: Record) -> OpenJob:
    """A record with a folder, taken, and not written yet."""
    folder = home / FOLDER / record.id
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise ConfigError(
            f"cannot create {folder}: {error.strerror}: name another folder with --home"
        ) from error
    turn = Turn(folder)
    turn.take(timeout_s=0)
    return OpenJob(home, record, turn)


def take(home: Path, job_id: str) -> OpenJob:
    """The record of this id, taken by this process.

    Raises:
        ConfigError: There is none, or another process works on it.
    """
    read(home, job_id)
    turn = Turn(home / FOLDER / job_id)
    try:
        turn.take(timeout_s=0)
    except KeyStoreError as error:
        raise ConfigError(
            f"another process works on job {job_id}: wait for it, or end it there with Ctrl-C"
        ) from error
    try:
        return OpenJob(home, read(home, job_id), turn)
    except QLQError:
        turn.give_back()
        raise


def total(record: Record) -> tuple[Sequence[Cost], bool]:
    """What each job of a record has cost, and whether all of it is known from the vendor."""
    costs = [job.estimate if job.spent is None else job.spent for job in record.submissions]
    return costs, all(job.spent is not None for job in record.submissions)


def _seal_key(master: bytes) -> bytes:
    return kdf.hkdf(master, info=b"qlq job store 1 seal", length=aead.KEY_BYTES)


def _bound_to(record: Record) -> bytes:
    return f"qlq job seeds {record.id}".encode()


def _pretty(record: Record) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def _read(path: Path, *, limit: int) -> bytes:
    try:
        data = private_files.read(path, limit=limit + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise ConfigError(f"{path} has more than {limit} bytes: not a file of QLQ")
    return data


def _write(path: Path, content: bytes) -> None:
    """Replace a file as a whole, mode 0600, synced together with its folder."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise ConfigError(f"cannot write {path}: {error.strerror}: make room there") from error
