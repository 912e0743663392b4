"""`qlq ledger prove`, `check-proof`, `checkpoint`, `verify`: what others can check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from qlq.cli import console, ledger, purse, settings

SCHEMA_PROVE = "qlq.ledger.prove/1"
SCHEMA_CHECK = "qlq.ledger.check-proof/1"
SCHEMA_CHECKPOINT = "qlq.ledger.checkpoint/1"
SCHEMA_VERIFY = "qlq.ledger.verify/1"

Chain = Annotated[str | None, typer.Option(help="Id of the chain that is meant, in hexadecimal.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `qlq ledger`."""
    app.command()(prove)
    app.command("check-proof")(check_proof)
    app.command()(checkpoint)
    app.command()(verify)


def prove(
    transaction: Annotated[
        str | None,
        typer.Argument(metavar="[TX]", help="Id, 64 hexadecimal digits, or: last."),
    ] = None,
    *,
    account: Annotated[
        str | None, typer.Option(help="Prove what an account holds now: its address or name.")
    ] = None,
    asset: Annotated[str | None, typer.Option(help="Symbol, with --account.")] = None,
    receipt: Annotated[
        bool, typer.Option("--receipt", help="Prove what came of it, not the transaction.")
    ] = False,
    leaf_only: Annotated[
        bool, typer.Option("--leaf-only", help="Disclose nothing: the hash of its leaf alone.")
    ] = False,
    since: Annotated[
        Path | None,
        typer.Option(
            help="Prove that the log only grew since a note, as `checkpoint -o` wrote it."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Blocks of the log that it leads to, for readers of an older checkpoint."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="New file for the proof.")] = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Prove what a final block or the log holds; the proof needs no ledger to be checked."""
    console.State.document_schema = SCHEMA_PROVE if json else None
    from qlq.errors import ConfigError
    from qlq.node import proof_files

    _need_one(transaction, account, asset, since)
    if size is not None and transaction is None:
        raise ConfigError("--size is for the proof of a transaction or its receipt")
    found = settings.load(home=home)
    if since is not None:
        made = proof_files.prove_log(found, since)
    elif account is not None:
        made = _prove_balance(account, asset or "", found)
    else:
        shown = _which(receipt=receipt, leaf_only=leaf_only)
        made = _prove_transaction(transaction or "", shown, size, found)
    if out is not None:
        proof_files.write_proof(out, {"schema": SCHEMA_PROVE, **made})
    if json:
        console.document(SCHEMA_PROVE, made)
    else:
        _show_proof(made, out, since)


def check_proof(
    file: Annotated[Path, typer.Argument(help="Proof, as `prove -o` wrote it.")],
    *,
    chain: Chain = None,
    transaction: Annotated[
        str | None, typer.Option("--tx", help="Id of the transaction that you ask about.")
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Address whose holding you ask about, with --asset.")
    ] = None,
    asset: Annotated[str | None, typer.Option(help="Id of an asset (qlqasset1…), or QLQ.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A signed note that you trust, as `checkpoint -o` wrote it.")
    ] = None,
    entry: Annotated[
        Path | None,
        typer.Option(help="The transaction, as `tx -o` wrote it, for a proof of a leaf alone."),
    ] = None,
    json: purse.Json = False,
) -> None:
    """Check a proof without any ledger or key; exits with 7 unless it holds."""
    console.State.document_schema = SCHEMA_CHECK if json else None
    from qlq.node import proof_files

    asked = proof_files.about(transaction, account, asset)
    question = proof_files.Question(chain_id(chain), asked, checkpoint, entry)
    found = proof_files.check(file, question)
    if json:
        console.document(SCHEMA_CHECK, found)
    elif found["valid"]:
        ledger.show(SCHEMA_CHECK, found, output=console.Output.TABLE)
    else:
        console.out().print(f"{file}: not valid: {found['detail']}", markup=False)
    if not found["valid"]:
        raise typer.Exit(console.EXIT_INTEGRITY)
    if found["relative_to"] == ["nothing"]:
        console.tell(
            "It holds for the chain that it names, which anybody can make: --chain says which one "
            "you mean"
        )


def checkpoint(
    *,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="New file for the note.")] = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Sign the log's size and root as a note that readers of transparency logs understand."""
    console.State.document_schema = SCHEMA_CHECKPOINT if json else None
    from qlq.disk import private_files
    from qlq.node import proof_files

    made = proof_files.make_checkpoint(settings.load(home=home))
    if out is not None:
        private_files.create(out, made["note"].encode())
    if json:
        console.document(SCHEMA_CHECKPOINT, made)
    elif out is None:
        typer.echo(made["note"], nl=False)
    else:
        shown = {name: made[name] for name in ("chain", "size", "root")}
        ledger.show(SCHEMA_CHECKPOINT, shown, output=console.Output.TABLE)


def verify(
    headers: Annotated[
        Path | None,
        typer.Argument(help="Instead of a ledger: headers, as `export --headers` wrote them."),
    ] = None,
    *,
    public: Annotated[
        bool, typer.Option("--public", help="Only what anybody can check, without keys.")
    ] = False,
    chain: Chain = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Carry out every block again and compare; exits with 7 on any difference."""
    console.State.document_schema = SCHEMA_VERIFY if json else None
    from qlq.errors import ConfigError
    from qlq.node import audit, copies
    from qlq.node.audit import Level

    if headers is not None:
        report = copies.verify_headers(headers, chain=chain_id(chain)).to_document()
    elif chain is not None:
        raise ConfigError("--chain is for a file of headers: a home's ledger is of one chain")
    else:
        level = Level.PUBLIC if public else Level.FULL
        report = audit.verify_home(settings.load(home=home), level)
    if json:
        console.document(SCHEMA_VERIFY, report)
    else:
        _show_report(report)
    if not report["valid"]:
        if headers is None:
            console.tell("Next: qlq ledger repair, or repair --from a snapshot or an export")
        raise typer.Exit(console.EXIT_INTEGRITY)


def chain_id(text: str | None) -> bytes | None:
    """A chain's id; raises ConfigError for a text that is none."""
    from qlq.node import identifiers

    return None if text is None else identifiers.parse(text, "a chain")


def _show_report(report: dict[str, Any]) -> None:
    out = console.out()
    for one in report["findings"]:
        place = one["where"] if one["height"] is None else f"{one['where']}, block {one['height']}"
        out.print(
            f"{place}: {one['field']}: expected {one['expected']}, found {one['found']}",
            markup=False,
        )
    if report["findings_left_off"]:
        out.print(f"… and {report['findings_left_off']} more")
    ledger.show(
        SCHEMA_VERIFY,
        {
            "chain": report["chain"],
            "height": report["height"],
            "blocks carried out": report["blocks"],
            "transactions": report["transactions"],
            "check": report["level"],
            "findings": len(report["findings"]) + report["findings_left_off"] or "none: valid",
        },
        output=console.Output.TABLE,
    )


def _show_proof(made: dict[str, Any], out: Path | None, since: Path | None) -> None:
    """What people want to read of a proof, and what to do with its file."""
    left_out = {"bytes", "entry", "checkpoint", "proof", "log"}
    lines = {name: value for name, value in made.items() if name not in left_out}
    lines["hashes"] = len(made.get("proof", [])) or None
    ledger.show(SCHEMA_PROVE, lines, output=console.Output.TABLE)
    if out is None:
        console.tell("Nothing was written: -o FILE keeps the proof")
        return
    kept = "" if since is None else f" --checkpoint {since}"
    console.tell(f"Next: qlq ledger check-proof {out} --chain {made['chain']}{kept}")


def _need_one(
    transaction: str | None, account: str | None, asset: str | None, since: Path | None
) -> None:
    """Refuse what does not say, or says twice, what is to be proved."""
    from qlq.errors import ConfigError

    if sum(one is not None for one in (transaction, account, since)) != 1:
        raise ConfigError(
            "name a transaction (or: last), or --account NAME with --asset SYMBOL, or --since NOTE"
        )
    if (account is None) != (asset is None):
        raise ConfigError("--account and --asset go together")


def _which(*, receipt: bool, leaf_only: bool) -> Any:
    """A form of a transaction's proof, or None for its receipt."""
    from qlq.errors import ConfigError
    from qlq.node.proving import Form

    if receipt and leaf_only:
        raise ConfigError("--receipt and --leaf-only exclude each other")
    if receipt:
        return None
    return Form.LEAF if leaf_only else Form.DISCLOSED


def _prove_transaction(text: str, form: Any, size: int | None, found: Any) -> dict[str, Any]:
    from qlq.node import chronicle, proving

    wanted = chronicle.resolve(text, found)
    if form is None:
        return proving.prove_receipt(found, wanted, size=size)
    return proving.prove_transaction(found, wanted, form=form, size=size)


def _prove_balance(account: str, symbol: str, found: Any) -> dict[str, Any]:
    from qlq.node import chains, proving, wallets

    address = wallets.resolve(account, found)
    with chains.opened(found) as validator:
        asset = wallets.find_asset(validator.state, symbol).id
    return proving.prove_balance(found, address, asset)
