"""`qlq asset`: assets and their supply."""

from __future__ import annotations

from typing import Annotated

import typer

from qlq.cli import console, purse, settings

app = typer.Typer(help="Assets.", no_args_is_help=True, rich_markup_mode=None)

SCHEMA_DEFINE = "qlq.asset.define/1"
SCHEMA_ISSUE = "qlq.asset.issue/1"
SCHEMA_BURN = "qlq.asset.burn/1"

Symbol = Annotated[str, typer.Argument(help="1 to 12 of A-Z and 0-9, a letter first.")]
Amount = Annotated[str, typer.Argument(help="Decimal amount, for example 1000.")]


@app.command()
def define(
    symbol: Symbol,
    *,
    owner: Annotated[str, typer.Option(help="Account of this home that will issue it.")],
    decimals: Annotated[int, typer.Option(help="Places after the point, 0 to 18.")] = 0,
    cap: Annotated[str | None, typer.Option(help="The most that may ever exist.")] = None,
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Define an asset; nothing of it exists yet."""
    console.State.document_schema = SCHEMA_DEFINE if json else None
    from qlq.node import wallets

    document = wallets.define(
        wallets.Purse(owner, purse.passphrase),
        symbol,
        decimals=decimals,
        cap=cap,
        settings=settings.load(home=home),
        tell=console.tell,
    )
    purse.show_sent(SCHEMA_DEFINE, document, output=purse.output(json=json))


@app.command()
def issue(
    symbol: Symbol,
    amount: Amount,
    *,
    to: Annotated[str, typer.Option(help="Address, or name of an account of this home.")],
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Issue units of an asset; its issuer is an account of this home."""
    console.State.document_schema = SCHEMA_ISSUE if json else None
    from qlq.node import wallets

    document = wallets.issue(
        symbol,
        amount=amount,
        to=to,
        passphrase=purse.passphrase,
        settings=settings.load(home=home),
        tell=console.tell,
    )
    purse.show_sent(SCHEMA_ISSUE, document, output=purse.output(json=json))


@app.command()
def burn(
    symbol: Symbol,
    amount: Amount,
    *,
    source: Annotated[str, typer.Option("--from", help="Account of this home that holds them.")],
    home: purse.Home = None,
    json: purse.Json = False,
) -> None:
    """Burn units of an asset: they cease to exist."""
    console.State.document_schema = SCHEMA_BURN if json else None
    from qlq.node import wallets

    document = wallets.burn(
        wallets.Purse(source, purse.passphrase),
        symbol,
        amount,
        settings.load(home=home),
        console.tell,
    )
    purse.show_sent(SCHEMA_BURN, document, output=purse.output(json=json))
