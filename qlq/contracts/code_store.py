"""What the compiler made of sources, kept so that no source is compiled in the middle of a block.

A node compiles a source in the transaction that brings it, which pays for it. Every later call
finds the code in memory, or in a file that only we write, see `native_cache`; it is compiled anew
only where that file was taken away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import msgspec

from qlq.contracts.compiled import COMPILER_VERSION, Code, Compiled
from qlq.contracts.native_cache import NativeCache
from qlq.crypto import digest
from qlq.errors import ContractError

CODES_BYTES_MAX = 1 << 26
"""Of all modules and sources together whose code stays in memory."""
PROGRAMS_MAX = 8
"""Sources that were compiled last, or refused: a block is proposed, then carried out."""
SETTINGS = b"code/1/%d" % COMPILER_VERSION
"""The first number goes up with every change of `Code`."""

Compile = Callable[[bytes], Compiled]


class Codes(Protocol):
    """Where code comes from."""

    def compiled(self, source: bytes) -> Compiled:
        """The code with its program; raises ContractError for a source that is refused."""

    def code(self, source: bytes) -> Code:
        """The code of a source that a compiler has taken before."""


class Programs:
    """The last few compiled sources with their programs, for whoever follows them line by line."""

    def __init__(self, compile_: Compile) -> None:
        """Nothing is compiled yet."""
        self._compile = compile_
        self._recent: OrderedDict[bytes, Compiled | str] = OrderedDict()

    def compiled(self, source: bytes) -> Compiled:
        """See `Codes.compiled`; what was refused is refused again without looking."""
        found = self._recent.pop(source, None)
        if found is None:
            try:
                found = self._compile(source)
            except ContractError as error:
                found = str(error)
        self._recent[source] = found
        if len(self._recent) > PROGRAMS_MAX:
            self._recent.popitem(last=False)
        if isinstance(found, str):
            raise ContractError(found)
        return found

    def code(self, source: bytes) -> Code:
        """See `Codes.code`; here with its program."""
        return self.compiled(source)


class CodeStore:
    """Code by source, in memory and in a folder."""

    def __init__(self, compile_: Compile, folder: NativeCache | None) -> None:
        """Nothing is in memory yet.

        Args:
            compile_: Source to code; raises ContractError for a source that is refused.
            folder: Of a cache with `SETTINGS`; None keeps code in memory alone.
        """
        self._programs = Programs(compile_)
        self._folder = folder
        self._codes: OrderedDict[bytes, Code] = OrderedDict()
        self._bytes = 0

    def compiled(self, source: bytes) -> Compiled:
        """See `Codes.compiled`."""
        compiled = self._programs.compiled(source)
        if source not in self._codes:
            self._remember(source, compiled.code)
            if self._folder is not None:
                self._folder.put(key_of(source), msgspec.msgpack.encode(compiled.code))
        return compiled

    def code(self, source: bytes) -> Code:
        """See `Codes.code`."""
        found = self._codes.get(source)
        if found is not None:
            self._codes.move_to_end(source)
            return found
        if (stored := self._stored(source)) is None:
            return self.compiled(source).code
        self._remember(source, stored)
        return stored

    def _stored(self, source: bytes) -> Code | None:
        if self._folder is None:
            return None
        data = self._folder.find(key_of(source))
        try:
            return None if data is None else msgspec.msgpack.decode(data, type=Code)
        except msgspec.MsgspecError:  # written by a release whose `Code` was another
            return None

    def _remember(self, source: bytes, code: Code) -> None:
        self._codes[source] = code
        self._bytes += _weight(source, code)
        while self._bytes > CODES_BYTES_MAX and len(self._codes) > 1:
            self._bytes -= _weight(*self._codes.popitem(last=False))


def key_of(source: bytes) -> bytes:
    """Under which a source's code is in the folder: two sources may differ in names alone."""
    return digest.sha256(source)


def _weight(source: bytes, code: Code) -> int:
    return len(source) + len(code.wasm)
