"""From a backend's URI to the backend, through the entry points of the group `qlq.backends`.

An entry point's name is the URI's scheme, its value a `port.Scheme`. Built-in schemes are
registered in the same way as those of third parties; there is no second list.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version

from qlq.backends.port import Address, Backend, Listing, Scheme
from qlq.errors import BackendUnavailable, ConfigError

GROUP = "qlq.backends"
_URI_CHARACTERS_MAX = 512
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_QUBITS = re.compile(r"\d{1,6}(,\d{1,6})*")


@dataclass(frozen=True, slots=True)
class Classical:
    """The last resort for keys and random bytes: no quantum device, no shots, never a Backend.

    Keys come from a key exchange, bytes from the operating system; both are marked
    `classical (computational)` wherever they are shown.
    """

    uri: str = "classical"


def resolve(uri: str) -> Address | Classical:
    """What a URI names: a backend's address, or the classical last resort; opens nothing.

    An adapter that cannot be loaded shows when its backend is opened.

    Raises:
        ConfigError: The text is no URI, or its scheme is unknown.
    """
    address = parse_uri(uri)
    if address.scheme == Classical().uri:
        if address.rest or address.options:
            raise ConfigError(f"'classical' takes no device and no option: {uri!r}")
        return Classical()
    with suppress(BackendUnavailable):
        _scheme(address)
    return address


def open_backend(uri: str) -> Backend:
    """The backend that a URI names, opened.

    Args:
        uri: `scheme[:rest][?key=value&...]`, for example `aer`, `aer:fez?qubits=4`,
            `cirq:willow_pink`, `braket:local`.

    Raises:
        ConfigError: The scheme, the device, an option or a qubit is unknown; the message names
            the value and the nearest known one.
        BackendUnavailable: The SDK is not installed, or the device cannot be used now.
    """
    address = parse_uri(uri)
    scheme = _scheme(address)
    try:
        return scheme.open(address)
    except ModuleNotFoundError as error:
        raise BackendUnavailable(
            f"backend {uri!r} needs the package {error.name!r}: {install_command(scheme.extra)}"
        ) from error


def known_uris() -> list[Listing]:
    """All backends that can be named without an account, in the order of their URIs."""
    listed = [line for point in entry_points(group=GROUP) for line in _load(point).listing()]
    return sorted(listed, key=lambda line: line.uri)


def parse_uri(uri: str) -> Address:
    """The parts of a backend URI; raises ConfigError if it is not one."""
    head, question, query = uri.partition("?")
    scheme, _, rest = head.partition(":")
    scheme = scheme.lower()
    if len(uri) > _URI_CHARACTERS_MAX or not _SCHEME.fullmatch(scheme):
        raise ConfigError(
            f"not a backend URI: {uri[:_URI_CHARACTERS_MAX]!r}; write scheme[:device]"
            "[?key=value], for example aer:fez"
        )
    options: dict[str, str] = {}
    for part in query.split("&") if question else ():
        key, equals, value = part.partition("=")
        if not (key and equals and value) or key in options:
            raise ConfigError(f"option {part!r} of backend {uri!r} is not one key=value")
        options[key] = value
    return Address(uri, scheme, rest, options)


def check_options(address: Address, *, known: tuple[str, ...]) -> None:
    """Raise ConfigError, naming the nearest known one, for an option outside `known`."""
    for key in address.options:
        if key not in known:
            raise ConfigError(
                f"unknown option {key!r} of backend {address.uri!r}; {nearest(key, known)}"
            )


def qubits_option(address: Address) -> tuple[int, ...] | None:
    """The qubits of `?qubits=4` or `?qubits=96,103`; None without the option.

    Raises:
        ConfigError: The value is not a list of different non-negative integers.
    """
    text = address.options.get("qubits")
    if text is None:
        return None
    if not _QUBITS.fullmatch(text):
        raise ConfigError(f"qubits={text!r} of {address.uri!r} is not a list such as 96,103")
    qubits = tuple(int(part) for part in text.split(","))
    if len(set(qubits)) != len(qubits):
        raise ConfigError(f"qubits={text!r} of {address.uri!r} names a qubit twice")
    return qubits


def install_command(extra: str) -> str:
    """The command that installs an extra of QLQ."""
    return f"pip install 'qlq[{extra}]'" if extra else "pip install qlq"


def missing(*packages: str, extra: str) -> str:
    """Why a backend cannot be used: the first package that is not installed; empty if none."""
    for package in packages:
        try:
            version(package)
        except PackageNotFoundError:
            return f"{package} is not installed: {install_command(extra)}"
    return ""


def nearest(value: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known one, and all if they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"


def _scheme(address: Address) -> Scheme:
    points = {point.name: point for point in entry_points(group=GROUP)}
    if point := points.get(address.scheme):
        return _load(point)
    if address.scheme == "classical":
        raise ConfigError("'classical' is no quantum backend and cannot make shots")
    if not points:
        raise ConfigError(
            f"no backend is registered, so {address.uri!r} cannot be opened; "
            "install the package, for example with: pip install -e ."
        )
    hint = nearest(address.scheme, points)
    raise ConfigError(f"unknown backend scheme {address.scheme!r} in {address.uri!r}; {hint}")


def _load(point: EntryPoint) -> Scheme:
    """The scheme of an entry point; raises BackendUnavailable if it cannot be imported."""
    try:
        scheme = point.load()
    except (ImportError, AttributeError) as error:
        raise BackendUnavailable(
            f"backend scheme {point.name!r} ({point.value}) cannot be loaded: {error}"
        ) from error
    if not isinstance(scheme, Scheme):
        raise BackendUnavailable(
            f"entry point {point.name!r} ({point.value}) is not a qlq.backends.port.Scheme"
        )
    return scheme
