"""`qlq wallet`: accounts of this home, and what they send."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from qlq.cli import console, purse, settings

app = typer.Typer(help="Accounts and what they send.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_NEW = "qlq.wallet.new/1"
SCHEMA_LIST = "qlq.wallet.list/1"
SCHEMA_SHOW = "qlq.wallet.show/1"
SCHEMA_SEND = "qlq.wallet.send/1"
SCHEMA_RECEIVE = "qlq.wallet.receive/1"
SCHEMA_BACKUP = "qlq.wallet.backup/1"
SCHEMA_RESTORE = "qlq.wallet.restore/1"
SCHEMA_ROTATE = "qlq.wallet.rotate/1"
SCHEMA_CHANGED = "qlq.wallet.passphrase/1"
SCHEMA_REMOVE = "qlq.wallet.remove/1"
SCHEMA_ERASE = "qlq.wallet.erase/1"

Name = Annotated[str, typer.Argument(help="Name of the account in this home.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer the question with yes.")]


class AlgorithmName(StrEnum):
    """What an account signs with."""

    ML_DSA_65 = "ml-dsa-65"
    ED25519 = "ed25519"
    HYBRID = "hybrid"


class SealName(StrEnum):
    """How a transaction travels."""

    QKD = "qkd"
    PQ = "pq"
    AUTO = "auto"


Algorithm = Annotated[
    AlgorithmName, typer.Option(help="Signatures; hybrid: ML-DSA-65 and Ed25519, both must verify.")
]


@app.command()
def new(
    name: Name,
    *,
    algorithm: Algorithm = AlgorithmName.ML_DSA_65,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Make an account; the first one makes the wallet."""
    console.State.document_schema = SCHEMA_NEW if json else None
    from qlq.wallet import accounts

    found = settings.load(home=home)
    made = accounts.create(found.home, name, _algorithm(algorithm), purse.new_passphrase())
    _show(SCHEMA_NEW, _account(made), json=json)
    console.tell(f"Next: qlq wallet backup {name} shows the 24 words to write down")


@app.command("list")
def list_accounts(*, home: purse.Home = None, json: purse.Json = False) -> None:
    """List the accounts of this home; needs no passphrase."""
    console.State.document_schema = SCHEMA_LIST if json else None
    from qlq.wallet import accounts

    found = settings.load(home=home)
    rows = [_account(one) for one in accounts.listed(found.home)]
    if json:
        console.document(SCHEMA_LIST, {"home": str(found.home), "accounts": rows})
        return
    if not rows:
        console.out().print("No accounts yet.")
        console.tell("Next: qlq wallet new NAME")
        return
    from rich.table import Table

    table = Table("name", "algorithm", "address")
    for row in rows:
        table.add_row(row["name"], row["algorithm"], row["address"])
    console.out().print(table)


@app.command()
def show(name: Name, *, home: purse.Home = None, json: purse.Json = False) -> None:
    """Show an account's address, nonce and balances."""
    console.State.document_schema = SCHEMA_SHOW if json else None
    from qlq.node import wallets

    shown = wallets.show(name, settings.load(home=home))
    if json:
        console.document(SCHEMA_SHOW, shown)
        return
    held = ", ".join(f"{amount} {symbol}" for symbol, amount in shown["balances"].items())
    console.table({**shown, "balances": held or "none"})


@app.command()
def receive(name: Name, *, home: purse.Home = None, json: purse.Json = False) -> None:
    """Print the address that others send to."""
    console.State.document_schema = SCHEMA_RECEIVE if json else None
    from qlq.wallet import accounts

    made = _account(accounts.find(settings.load(home=home).home, name))
    if json:
        console.document(SCHEMA_RECEIVE, made)
    else:
        typer.echo(made["address"])


@app.command()
def send(
    *,
    source: Annotated[str, typer.Option("--from", help="Account of this home that pays.")],
    to: Annotated[str, typer.Option(help="Address, or name of an account of this home.")],
    asset: Annotated[str, typer.Option(help="Symbol of the asset.")],
    amount: Annotated[str, typer.Option(help="Decimal amount, for example 12.50.")],
    memo: Annotated[str, typer.Option(help="Words for whoever can open the transaction.")] = "",
    seal: Annotated[
        SealName,
        typer.Option(help="qkd: with a quantum-distributed key; pq: with ML-KEM-768 and X25519."),
    ] = SealName.AUTO,
    fee: Annotated[str | None, typer.Option(help="Fee in QLQ; without it, the least.")] = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Send an amount, sealed for the validators; it is final when the command returns."""
    console.State.document_schema = SCHEMA_SEND if json else None
    from qlq.ledger import amounts, genesis
    from qlq.node import wallets
    from qlq.node.transacting import SealPolicy, Wish

    units = None if fee is None else amounts.parse(fee, genesis.NATIVE_DECIMALS)
    document = wallets.send(
        wallets.Purse(source, purse.passphrase),
        to=to,
        asset=asset,
        amount=amount,
        wish=Wish((), memo.encode(), SealPolicy(seal.value), units),
        settings=settings.load(home=home),
        tell=console.tell,
    )
    purse.show_sent(SCHEMA_SEND, document, output=purse.output(json=json))


@app.command()
def backup(name: Name, *, home: purse.Home = None, json: purse.Json = False) -> None:
    """Show the 24 words of an account's key: write them down, whoever has them has the account."""
    console.State.document_schema = SCHEMA_BACKUP if json else None
    from qlq.wallet import accounts

    found = settings.load(home=home)
    account = accounts.find(found.home, name)
    words = accounts.backup(found.home, name, purse.passphrase())
    if json:
        console.document(SCHEMA_BACKUP, {**_account(account), "words": list(words)})
        return
    for start in range(0, len(words), 6):
        line = (f"{start + k + 1:2}. {word:10}" for k, word in enumerate(words[start : start + 6]))
        typer.echo(" ".join(line).rstrip())
    typer.echo(f"address   {_account(account)['address']}")
    typer.echo(f"algorithm {account.algorithm.word}")
    console.tell("Write all of it down: restore asks for the algorithm, and after a rotation for")
    console.tell("the address too (qlq wallet restore NAME --algorithm … --address …)")


@app.command()
def restore(
    name: Name,
    *,
    algorithm: Algorithm = AlgorithmName.ML_DSA_65,
    of: Annotated[
        str | None, typer.Option("--address", help="Of the account, if its key was rotated.")
    ] = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Make an account again from its 24 words, which are read from the terminal or stdin."""
    console.State.document_schema = SCHEMA_RESTORE if json else None
    from qlq.ledger import address
    from qlq.wallet import accounts

    known_as = None if of is None else address.from_text(of)
    words = _read_words()
    made = accounts.restore(
        settings.load(home=home).home,
        name,
        _algorithm(algorithm),
        words,
        passphrase=purse.new_passphrase(),
        known_as=known_as,
    )
    _show(SCHEMA_RESTORE, _account(made), json=json)


@app.command()
def rotate(
    name: Name,
    *,
    algorithm: Algorithm = AlgorithmName.ML_DSA_65,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Give an account another key on the ledger; its address stays."""
    console.State.document_schema = SCHEMA_ROTATE if json else None
    from qlq.node import wallets

    document = wallets.rotate(
        wallets.Purse(name, purse.passphrase),
        _algorithm(algorithm),
        settings.load(home=home),
        console.tell,
    )
    purse.show_sent(SCHEMA_ROTATE, document, output=purse.output(json=json))
    console.tell(f"The words have changed: qlq wallet backup {name}")


@app.command()
def passphrase(*, home: purse.Home = None, json: purse.Json = False) -> None:
    """Change the wallet's passphrase, where it is typed and seals the wallet alone."""
    console.State.document_schema = SCHEMA_CHANGED if json else None
    from qlq.node import wallets
    from qlq.wallet import accounts

    found = settings.load(home=home)
    wallets.need_own_passphrase(found)
    old = purse.passphrase()
    accounts.change_passphrase(found.home, old, purse.replacement())
    _show(SCHEMA_CHANGED, {"home": str(found.home), "changed": True}, json=json)


@app.command()
def remove(
    name: Name, *, yes: Yes = False, home: purse.Home = None, json: purse.Json = False
) -> None:
    """Forget an account and its key; only its 24 words bring the key back."""
    console.State.document_schema = SCHEMA_REMOVE if json else None
    from qlq.wallet import accounts

    found = settings.load(home=home)
    account = accounts.find(found.home, name)
    purse.confirm(f"Forget {name} and its key, which only its 24 words bring back?", yes=yes)
    accounts.remove(found.home, name, purse.passphrase())
    _show(SCHEMA_REMOVE, _account(account), json=json)


@app.command()
def erase(*, yes: Yes = False, home: purse.Home = None, json: purse.Json = False) -> None:
    """Destroy the wallet with all its keys; needs no passphrase, works on a damaged file too."""
    console.State.document_schema = SCHEMA_ERASE if json else None
    from qlq.wallet import accounts

    found = settings.load(home=home)
    purse.confirm(f"Destroy the wallet of {found.home} with all its keys?", yes=yes)
    accounts.erase(found.home)
    _show(SCHEMA_ERASE, {"home": str(found.home), "erased": True}, json=json)


def _read_words() -> str:
    import sys

    if sys.stdin.isatty():
        return str(typer.prompt("24 words", hide_input=True, err=True))
    return sys.stdin.read()


def _algorithm(name: AlgorithmName) -> Any:
    from qlq.crypto import signing

    return next(one for one in signing.Algorithm if one.word == name.value)


def _account(account: Any) -> dict[str, Any]:
    from qlq.ledger import address

    return {
        "name": account.name,
        "address": address.to_text(account.address),
        "algorithm": account.algorithm.word,
    }


def _show(schema: str, document: dict[str, Any], *, json: bool) -> None:
    if json:
        console.document(schema, document)
    else:
        console.table(document)
