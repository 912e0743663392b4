"""`qlq qkd pair`, `link`, `alice` and `bob`: one session in three processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlq.cli import console, qkd, settings, terms

if TYPE_CHECKING:
    from qlq.node.terminals_arrival import PartyOrder

SCHEMA_PAIR = "qlq.qkd.pair/1"
SCHEMA_LINK = "qlq.qkd.link/1"
DEADLINE_S = 86_400.0
PEER_TIMEOUT_S = 60.0
WAIT_S = 600.0

Link = Annotated[str, typer.Option("--link", help="Where the link listens, as HOST:PORT.")]
BobsDoor = Annotated[str, typer.Option("--peer", help="Where Bob listens, as HOST:PORT.")]
OwnDoor = Annotated[str, typer.Option("--listen", help="Where Alice finds Bob, as HOST:PORT.")]
Protocol = Annotated[str, typer.Option(help="bb84 or e91.")]
Pulses = Annotated[int, typer.Option(help="Signals or pairs to send.")]
Symmetric = Annotated[
    bool, typer.Option("--symmetric", help="Uniform bases, random sample of all rounds.")
]
Bias = Annotated[float | None, typer.Option(help="Probability of the key setting, 0.5 to 0.99.")]
QberMax = Annotated[
    float | None, typer.Option(help="Tolerated QBER; default from the link's calibration.")
]
Method = Annotated[str, typer.Option(help="cascade, cascade-biconf or cascade-yanetal.")]
EpsSec = Annotated[float, typer.Option(help="Secrecy epsilon.")]
EpsCor = Annotated[float, typer.Option(help="Correctness epsilon.")]
PairingFile = Annotated[
    Path | None,
    typer.Option("--pairing", help="File of qlq qkd pair; needed once, then remembered."),
]
Archive = Annotated[Path | None, typer.Option(help="Folder for a public archive.")]
Home = Annotated[str | None, typer.Option(help="Folder of this party's keys.")]
Deadline = Annotated[
    float, typer.Option("--deadline", min=0.1, help="Seconds until the command must end.")
]
Wait = Annotated[
    float, typer.Option("--wait", min=0.1, help="Seconds that the others may take to be there.")
]
PeerTimeout = Annotated[
    float, typer.Option(min=0.1, help="Seconds of silence after which the others are gone.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `qlq qkd`."""
    app.command()(pair)
    app.command()(link)
    for name, other, place_option in (("alice", "Bob", BobsDoor), ("bob", "Alice", OwnDoor)):
        words = (
            f"Be {name.capitalize()} in a session with {other} in another process; an abort exits "
            "with 3."
        )
        app.command(name, help=words)(_party_command(name, place_option))


def pair(
    file: Annotated[Path, typer.Argument(help="File to make; carry it to the other party.")],
    *,
    json: qkd.Json = False,
) -> None:
    """Make the secret that two parties share before their first session, in a file."""
    console.State.document_schema = SCHEMA_PAIR if json else None
    from qlq.node import terminals_pairing

    made = terminals_pairing.Pairing.from_system()
    terminals_pairing.write(file, made)
    if json:
        document = {"pairing": made.pairing_id, "file": str(file), "tags": terminals_pairing.TAGS}
        console.document(SCHEMA_PAIR, document)
        return
    console.out().print(f"Pairing {made.pairing_id} is in {file}.", markup=False)
    console.tell(
        "Next: carry it to the other party by a way that nobody else can read, start both with\n"
        f"--pairing {file} once, then delete every copy"
    )


def link(
    *,
    listen: Annotated[str, typer.Option(help="Where the parties find it, as HOST:PORT.")],
    backend: Annotated[str | None, typer.Option(help="Backend URI: aer, aer:fez, …")] = None,
    eve: Annotated[
        str | None, typer.Option(help="intercept-resend:P[@random|key|test|ANGLE]")
    ] = None,
    max_cost: terms.MaxCost = None,
    max_qpu_seconds: terms.MaxQpuSeconds = None,
    yes: terms.Yes = False,
    deadline: Deadline = DEADLINE_S,
    peer_timeout: PeerTimeout = PEER_TIMEOUT_S,
    home: Annotated[str | None, typer.Option(help="Folder of the records of paid jobs.")] = None,
    json: qkd.Json = False,
) -> None:
    """Hold the backend for one session of two parties; an abort exits with 3."""
    console.State.document_schema = SCHEMA_LINK if json else None
    from qlq.network import transport
    from qlq.node import terminals_link

    found = settings.load(home=home, backend=backend)
    order = terminals_link.LinkOrder(
        listen=transport.parse(listen),
        backend=found.backend,
        home=found.home,
        eve=eve,
        consent=terms.consent(
            max_cost=max_cost,
            max_qpu_seconds=max_qpu_seconds,
            answer=terms.Answer.YES if yes else terms.Answer.ASK,
        ),
        timeout_s=deadline,
        peer_timeout_s=peer_timeout,
    )
    with console.interruptible():
        document = terminals_link.serve(order, console.tell)
    _finish(document, SCHEMA_LINK, console.Output.JSON if json else console.Output.TABLE)


def _party_command(name: str, place_option: object) -> Callable[..., None]:
    """The command of one party; both take the same options but for the place where they meet.

    Args:
        name: `alice` or `bob`.
        place_option: The annotation of that place.
    """
    schema = f"qlq.qkd.{name}/1"

    def command(
        *,
        link: Link,
        place: str,
        protocol: Protocol = "bb84",
        pulses: Pulses = 100_000,
        symmetric: Symmetric = False,
        basis_bias: Bias = None,
        qber_max: QberMax = None,
        reconciliation: Method = "cascade",
        eps_sec: EpsSec = 1e-10,
        eps_cor: EpsCor = 1e-12,
        pairing: PairingFile = None,
        archive: Archive = None,
        home: Home = None,
        wait: Wait = WAIT_S,
        deadline: Deadline = DEADLINE_S,
        peer_timeout: PeerTimeout = PEER_TIMEOUT_S,
        json: qkd.Json = False,
    ) -> None:
        console.State.document_schema = schema if json else None
        wish = {
            "protocol": protocol,
            "pulses": pulses,
            "symmetric": symmetric,
            "basis_bias": basis_bias,
            "qber_max": qber_max,
            "reconciliation": reconciliation,
            "eps_sec": eps_sec,
            "eps_cor": eps_cor,
        }
        times = {"arrival_s": wait, "timeout_s": deadline, "peer_timeout_s": peer_timeout}
        order = _order(name, link=link, peer=place, wish=wish, archive=archive, times=times)
        output = console.Output.JSON if json else console.Output.TABLE
        _finish(_take_part(order, home=home, pairing=pairing), schema, output)

    command.__annotations__["place"] = place_option
    return command


def _order(
    party: str,
    *,
    link: str,
    peer: str,
    wish: dict[str, Any],
    archive: Path | None,
    times: dict[str, float],
) -> PartyOrder:
    """A party's order in types; raises ConfigError naming a value that cannot be used."""
    from qlq.backends.port import DeviceInfo
    from qlq.errors import ConfigError
    from qlq.network import transport
    from qlq.node import orders
    from qlq.node.terminals_arrival import PartyOrder
    from qlq.provenance import Kind
    from qlq.qkd.duties import Party
    from qlq.qkd.parameters import Sampling

    sampling = Sampling.SYMMETRIC if wish.pop("symmetric") else Sampling.BIASED
    asked = orders.Order(backend="", sampling=sampling, **wish)
    try:
        wanted = orders.wanted(asked, DeviceInfo("", "", kind=Kind.IDEAL, qubits=0))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return PartyOrder(
        party=Party(party),
        link=transport.parse(link),
        peer=transport.parse(peer),
        wanted=wanted,
        qber_max=asked.qber_max,
        archive=archive,
        **times,
    )


def _take_part(order: PartyOrder, *, home: str | None, pairing: Path | None) -> dict[str, Any]:
    """Open the party's belongings, run the session, and return its document."""
    from qlq.kme import master
    from qlq.node import terminals, terminals_pairing

    found = settings.load(home=home)
    key = master.obtain(
        passphrase=found.passphrase,
        data_folder=found.home,
        settings_folder=found.settings_folder,
    )
    belongings = terminals_pairing.open_belongings(
        found.home,
        order.party,
        master=key,
        pairing=None if pairing is None else terminals_pairing.read(pairing),
    )
    try:
        return terminals.run(order, belongings, console.tell)
    finally:
        belongings.close()


def _finish(document: dict[str, Any], schema: str, output: console.Output) -> None:
    """Print a result; an abort ends the command with its exit code."""
    if output is console.Output.JSON:
        fields = {name: value for name, value in document.items() if name != "schema"}
        console.document(schema, fields)
    else:
        _show(document)
    if document["aborted"]:
        raise typer.Exit(console.EXIT_ABORTED)


_SHOWN = ("backend", "protocol", "pulses", "qber_max", "qber_key", "qber_test", "secret_bits")


def _show(document: dict[str, Any]) -> None:
    """A result for people: what happened, what the key is worth, and the next command."""
    from rich.table import Table

    table = Table(show_header=False, title=document.get("party", "link"))
    for name in (*_SHOWN, "key_id"):
        if document.get(name) is not None:
            table.add_row(name.replace("_", " "), str(document[name]))
    table.add_row("time", f"{document['timing']['wall_s']:.2f} s")
    out = console.out()
    out.print(table)
    aborted = document["aborted"]
    if aborted:
        out.print(f"Aborted ({aborted['reason']}): {aborted['detail']}", markup=False)
    elif "worth" in document:
        out.print(qkd.worth_line(document))
        home = "" if console.State.home is None else f" --home {console.State.home}"
        out.print(f"Next: qlq{home} keys list --party {document['party']}", markup=False)
