"""`qlq qkd`: sessions and their archives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlq.cli import console, settings, terms, wishes

if TYPE_CHECKING:
    from qlq.node.jobs_desk import Resumed
    from qlq.node.orders import Order

app = typer.Typer(help="Key distribution sessions.", no_args_is_help=True)

SCHEMA_RUN = "qlq.qkd.run/1"
SCHEMA_PROCESS = "qlq.qkd.process/1"
SCHEMA_VERIFY = "qlq.qkd.verify/1"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


@app.command()
def run(
    *,
    protocol: Annotated[str, typer.Option(help="bb84 or e91.")] = "bb84",
    backend: wishes.Backends = None,
    pulses: Annotated[int, typer.Option(help="Signals or pairs to send.")] = 100_000,
    symmetric: wishes.Symmetric = False,
    basis_bias: wishes.BasisBias = None,
    qber_max: wishes.QberMax = None,
    reconciliation: wishes.Method = "cascade",
    eve: wishes.Eve = None,
    seed: wishes.Seed = None,
    eps_sec: Annotated[float, typer.Option(help="Secrecy epsilon.")] = 1e-10,
    eps_cor: Annotated[float, typer.Option(help="Correctness epsilon.")] = 1e-12,
    archive: Annotated[Path | None, typer.Option(help="Folder for the archive.")] = None,
    dry_run: wishes.DryRun = False,
    strict: wishes.Strict = False,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
    home: Annotated[str | None, typer.Option(help="Folder of keys and jobs.")] = None,
    json: Json = False,
) -> None:
    """Run one session, both parties in this process; an abort exits with 3."""
    console.State.document_schema = SCHEMA_RUN if json else None
    output = console.Output.JSON if json else console.Output.TABLE
    from qlq.backends.chain import Fallback
    from qlq.node import orders
    from qlq.qkd.parameters import Sampling

    found = settings.load(home=home, backend=backend[0] if backend else None)
    order = orders.Order(
        protocol=protocol,
        backend=found.backend,
        pulses=pulses,
        sampling=Sampling.SYMMETRIC if symmetric else Sampling.BIASED,
        basis_bias=basis_bias,
        qber_max=qber_max,
        reconciliation=reconciliation,
        eve=eve,
        seed=seed,
        eps_sec=eps_sec,
        eps_cor=eps_cor,
        archive=archive,
        then=tuple(backend[1:]) if backend else (),
        fallback=Fallback.FORBIDDEN if strict else Fallback.ALLOWED,
        consent=terms.consent(
            max_cost=max_cost,
            max_qpu_seconds=max_qpu_seconds,
            answer=terms.Answer.YES if yes else terms.Answer.ASK,
        ),
        deadline_s=None if deadline is None else terms.time_left(deadline, default_s=deadline),
    )
    if dry_run:
        _show_plan(order, output)
        return
    with console.interruptible():
        session = orders.fulfil(order, found, console.tell)
    _finish(session.document, output)


def _finish(document: dict[str, Any], output: console.Output) -> None:
    """Print a session's result; an abort ends the command with its exit code."""
    if output is console.Output.JSON:
        fields = {name: value for name, value in document.items() if name != "schema"}
        console.document(SCHEMA_RUN, fields)
    else:
        show(document)
    if document["aborted"]:
        raise typer.Exit(console.EXIT_ABORTED)


def _show_plan(order: Order, output: console.Output) -> None:
    from qlq.node import planning

    planned = {"dry_run": True, **planning.estimate(order)}
    if output is console.Output.JSON:
        console.document(SCHEMA_RUN, planned)
        return
    console.table(planned)


def show(document: dict[str, Any]) -> None:
    """A session's result as a table, with what its key is worth and the next command."""
    from rich.table import Table

    table = Table(
        show_header=False, title=f"{document['protocol'].upper()} on {document['backend']}"
    )
    for name, value in _rows(document):
        table.add_row(name, value)
    out = console.out()
    out.print(table)
    aborted = document["aborted"]
    if aborted:
        out.print(f"Aborted ({aborted['reason']}): {aborted['detail']}")
        out.print("Worth: nothing; the key was erased.")
        return
    out.print(worth_line(document))
    if document["archive"]:
        out.print(f"Next: qlq qkd verify {document['archive']}")
    else:
        out.print("Next: qlq qkd run --archive DIR keeps everything needed to verify a session")


def worth_line(document: dict[str, Any]) -> str:
    """The line that says what the key is worth."""
    from qlq.keys import Worth
    from qlq.provenance import Claim
    from qlq.qkd import worth

    found = document["worth"]
    claim = next(claim for claim in Claim if claim.label == found["claim"])
    return worth.sentence(Worth(claim, tuple(found["secret_against"]), found["entropy_cap_bits"]))


def _rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values of the table."""
    provenance, leak = document["provenance"], document["reconciliation"]
    if leak is None:
        return [
            *_attempt_rows(document),
            ("made by", f"{provenance['device']}; no quantum device had a part in it"),
            ("claim", provenance["claim"]),
            ("secret bits", str(document["secret_bits"])),
            ("key id", document["key_id"] or "none stored"),
            ("time", f"{document['timing']['wall_s']:.2f} s"),
        ]
    rows = [
        *_attempt_rows(document),
        ("device", f"{provenance['device']} ({provenance['kind']}), qubits {provenance['qubits']}"),
        ("pulses", f"{document['pulses']}, key basis {document['basis_bias']:.0%}"),
        ("sifted / test / key bits", " / ".join(str(document[n]) for n in _COUNTS)),
        ("QBER key / test", f"{percent(document['qber_key'])} / {percent(document['qber_test'])}"),
        ("QBER tolerated", percent(document["qber_max"])),
    ]
    if document["eve"]:
        rows.append(("Eve", document["eve"]))
    chsh = document["chsh"]
    if chsh:
        p = chsh["no_signalling_p"]
        rows.append(("CHSH S", f"{chsh['s']:.3f} ± {chsh['sigma']:.3f}"))
        rows.append(("no-signalling p", "too few rounds" if p is None else f"{p:.3f}"))
        if chsh["exceeds_tsirelson"]:
            rows.append(("warning", "S exceeds Tsirelson's bound: mitigated or signalling data"))
    rows += [
        ("leakage", _leakage(leak)),
        ("theorem", document["finite_key"]["theorem"]),
        ("epsilon total", f"{document['finite_key']['eps_total']:.2e}"),
        ("secret bits", _secret(document)),
        ("key id", document["key_id"] or "none stored"),
        ("time", f"{document['timing']['wall_s']:.2f} s"),
    ]
    return rows


def _attempt_rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The backends that were tried before, and why they were left."""
    return [
        (f"tried {tried['backend']}", f"{tried['error']}: {tried['detail']}")
        for tried in document["provenance"]["attempts"]
    ]


def _leakage(leak: dict[str, Any]) -> str:
    """What reconciliation revealed, or that it was not reached."""
    if not leak["messages"]:
        return f"reconciliation not reached (limit {leak['leak_max_bits']} bits)"
    f = leak["efficiency"]
    efficiency = "no errors" if f is None else f"f = {f:.3f}"
    return f"{leak['leak_ec_bits']} of {leak['leak_max_bits']} bits, {efficiency}"


def _secret(document: dict[str, Any]) -> str:
    """Where the secret bits go: tags, the pool of tag keys, the stored key."""
    secret, net = document["secret_bits"], document["net_bits"]
    kept = document["authentication"]["key_bits_reserved"]
    if not secret:
        return "0"
    return f"{secret}, net {net} after the tags; {secret - kept} stored, {kept} to the pool"


_COUNTS = ("sifted_bits", "test_bits", "key_bits")


def percent(rate: float | None) -> str:
    """A rate for people; a dash where there is none."""
    return "–" if rate is None else f"{rate:.2%}"


@app.command()
def process(
    *,
    job: Annotated[str, typer.Option(help="A job that was paid for earlier, as URI:ID.")],
    archive: Annotated[Path | None, typer.Option(help="Folder for the archive.")] = None,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: terms.Deadline = None,
    home: Annotated[str | None, typer.Option(help="Folder of keys and jobs.")] = None,
    json: Json = False,
) -> None:
    """Finish the session of an earlier job, named by its vendor's id; an abort exits with 3."""
    console.State.document_schema = SCHEMA_PROCESS if json else None
    from qlq.node import jobs, jobs_desk, sessions

    found = settings.load(home=home)
    with console.interruptible():
        done = jobs_desk.resume(
            found,
            jobs.find(found.home, job).id,
            deadline_s=terms.time_left(deadline, default_s=sessions.TIMEOUT_S),
            archive=archive,
            tell=console.tell,
            allowed=terms.consent(
                max_cost=max_cost,
                max_qpu_seconds=max_qpu_seconds,
                answer=terms.Answer.YES if yes else terms.Answer.ASK,
            ),
        )
    show_resumed(done, schema=SCHEMA_PROCESS if json else None)


def show_resumed(done: Resumed, *, schema: str | None) -> None:
    """What a resumed session gave; an abort ends the command with its exit code."""
    record = done.record
    if not done.is_new:
        console.tell(f"job {record.id} was over already: {record.state.value}")
    if schema is not None:
        fields = {
            "id": record.id,
            "status": record.state.value,
            "resumed": done.is_new,
            "key_id": record.key_id,
            "result": done.document,
        }
        console.document(schema, fields)
    elif done.document is None:
        console.out().print(f"Key {record.key_id} is in both stores.")
    elif "aborted" in done.document:
        show(done.document)
    else:
        console.table(done.document)  # a pilot's figures
    if done.document is not None and done.document.get("aborted"):
        raise typer.Exit(console.EXIT_ABORTED)


@app.command()
def verify(
    archive: Annotated[Path, typer.Argument(help="Folder of a session.")], *, json: Json = False
) -> None:
    """Recompute everything deterministic in an archive; exits with 7 on any difference."""
    console.State.document_schema = SCHEMA_VERIFY if json else None
    from dataclasses import asdict

    from qlq.archive import verify as checking

    verdict = checking.check(archive)
    if json:
        console.document(
            SCHEMA_VERIFY,
            {
                "valid": verdict.is_valid,
                "level": verdict.level,
                "findings": [asdict(finding) for finding in verdict.findings],
            },
        )
    else:
        out = console.out()
        for finding in verdict.findings:
            place = f"{finding.file}: {finding.field}" if finding.field else finding.file
            out.print(f"{place}: expected {finding.expected}, found {finding.found}", markup=False)
        state = "valid" if verdict.is_valid else f"{len(verdict.findings)} findings"
        out.print(f"{archive}: {state} ({verdict.level} check)", markup=False)
    if not verdict.is_valid:
        raise typer.Exit(console.EXIT_INTEGRITY)
