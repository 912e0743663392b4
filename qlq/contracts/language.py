"""Which sources are read at all: limits before Python's parser, an allow-list of syntax after it.

CPython's own limits differ from version to version, so that a source that one node accepts another
would not. Everything here is refused by our own scanner and our own limits, which are far inside
of what every version parses; the parser is asked for one fixed grammar.

Every kind of node has a list of the fields that the checker reads. A field that it does not read
must be empty: else a feature would be accepted and ignored.

Source: measured, `ast.parse` takes 2,986 terms of a sum on 3.11.7, and 200 brackets everywhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qlq.errors import CompileError

SOURCE_BYTES_MAX = 32 * 1024
BRACKETS_MAX = 32
INDENTS_MAX = 16
TOKENS_MAX = 512
"""Of one statement's line, which goes on within brackets."""
BLOCKS_MAX = 48
"""Around each other; an `elif` is within the `else` of those before it."""
NAME_CHARS_MAX = 64
NUMBER_CHARS_MAX = 64
EXPRESSION_DEPTH_MAX = 64
FUNCTION_NODES_MAX = 4096
GRAMMAR = (3, 11)

_TOKENS = re.compile(
    r"""(?P<space>[ ]+)|(?P<comment>\#[^\n]*)|(?P<newline>\n)
    |(?P<string>b?(?:\"{3}(?:[^\\"]|\\.|"(?!""))*\"{3}|'{3}(?:[^\\']|\\.|'(?!''))*'{3}
        |"(?!"")(?:[^\\"\n]|\\.)*"|'(?!'')(?:[^\\'\n]|\\.)*'))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>0[xX][0-9a-fA-F_]+|[0-9][0-9_]*)
    |(?P<sign>\.\.\.|->|//=|\*\*=|<<=|>>=|//|\*\*|<<|>>|[-+*/%&|^@=<>!:]=|[-+*/%&|^~@=<>()\[\]{}.,:;])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?![\\'\"n]|x[0-9a-fA-F]{2})")
_FOREIGN = re.compile(r"[^\n -~]")
_OPENING, _CLOSING = "([{", ")]}"

_WORDS: Final = {
    "async": "calls run one after the other",
    "await": "calls run one after the other",
    "lambda": "write a method",
    "try": "a failure undoes the whole transaction; test first with if",
    "raise": 'write assert False, "why"',
    "with": "there is nothing to open or close",
    "yield": "return a value",
    "global": "what lasts is a field of the contract",
    "nonlocal": "what lasts is a field of the contract",
    "is": "compare by ==",
    "in": "it is for loops alone; what was never written to a map is zero: compare with that",
}
_SIGNS: Final = {
    "**": "multiply in a loop, or write the number",
    "**=": "multiply in a loop, or write the number",
    "~": "write U64_MAX ^ value",
    ":=": "assign on a line of its own",
    "/": "use // : there are no floats",
    "/=": "use //= : there are no floats",
    "{": "there are no dicts and sets: declare a Map field or a Struct",
    ";": "begin a new line",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A contract's text.

    Attributes:
        text: Printable ASCII and newlines.
        file: Its name in messages.
    """

    text: str
    file: str

    def error(
        self, message: str, *, hint: str, line: int, column: int, width: int = 1
    ) -> CompileError:
        """What to raise; line and column from 1, the width is the number of marks."""
        lines = self.text.split("\n")
        shown = lines[line - 1] if line <= len(lines) else ""
        shown = shown if shown.isascii() and shown.isprintable() else ascii(shown)[1:-1]
        marks = " " * (column - 1) + "^" * max(1, min(width, len(shown) - column + 1))
        excerpt = f"    {shown[:160]}\n    {marks[:160]}" if shown.strip() else ""
        return CompileError(
            message, hint=hint, file=self.file, line=line, column=column, excerpt=excerpt
        )

    def error_node(self, message: str, *, hint: str, node: ast.AST) -> CompileError:
        """What to raise, with marks under a node."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
        one_line = getattr(node, "end_lineno", line) == line
        end = getattr(node, "end_col_offset", None) if one_line else None
        return self.error(
            message, hint=hint, line=line, column=column, width=(end or 1000) + 1 - column
        )

    def error_at(self, message: str, *, hint: str, place: int, width: int = 1) -> CompileError:
        """What to raise, with marks under characters from a place in the text on."""
        before = self.text[:place]
        column = place - (before.rfind("\n") + 1) + 1
        return self.error(
            message, hint=hint, line=before.count("\n") + 1, column=column, width=width
        )


def parse(source: bytes, file: str) -> tuple[Source, ast.Module]:
    """The source and its syntax tree, which holds nothing but what the checker reads.

    Raises:
        CompileError: For anything else; no other error, whatever the bytes.
    """
    read = Source(source[: SOURCE_BYTES_MAX + 1].decode("latin-1"), file)
    if len(source) > SOURCE_BYTES_MAX:
        raise read.error(
            f"the source has {len(source)} bytes, over {SOURCE_BYTES_MAX}",
            hint="split the contract in two that call each other", line=1, column=1,
        )  # fmt: skip
    if foreign := _FOREIGN.search(read.text):
        raise read.error_at(
            f"character {foreign[0]!a} is not allowed",
            hint="printable ASCII and newlines only: spaces for tabs, Unix line ends",
            place=foreign.start(),
        )
    _scan(read)
    try:
        tree = ast.parse(read.text, feature_version=GRAMMAR)
    except SyntaxError as error:
        line = min(max(error.lineno or 1, 1), read.text.count("\n") + 1)
        raise read.error(
            f"not valid Python: {error.msg}",
            hint="a contract is a Python file", line=line, column=max(error.offset or 1, 1),
        ) from error  # fmt: skip
    except (RecursionError, MemoryError, ValueError) as error:
        raise read.error(
            f"cannot be parsed: {type(error).__name__}",
            hint="nest less and split long lines", line=1, column=1,
        ) from error  # fmt: skip
    _admit(read, tree)
    return read, tree


class _Scan:
    """How deep the scanner is in brackets, indentation and one statement."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._brackets: list[str] = []
        self._indents = [0]
        self._elifs: dict[int, int] = {}
        self._tokens = 0
        self._previous = ""
        self._loop = False

    def newline(self) -> None:
        if not self._brackets:
            self._tokens, self._previous, self._loop = 0, "", False

    def token(self, kind: str, text: str, place: int, indent: int) -> None:
        """Take the next token; indent is that of the statement's first line."""
        if not self._tokens:
            self._statement(text, place, indent)
        self._tokens += 1
        if self._tokens > TOKENS_MAX:
            raise self.error(
                "the statement is too long", f"at most {TOKENS_MAX} tokens", place, text
            )
        if kind == "string":
            self._string(text, place)
        elif kind == "name":
            self._name(text, place)
        elif kind == "number" and len(text) > NUMBER_CHARS_MAX:
            raise self.error("the number is too long", "the largest is U128_MAX", place, text)
        elif kind == "sign":
            self._sign(text, place)
        self._previous = kind

    def _statement(self, text: str, place: int, indent: int) -> None:
        while indent < self._indents[-1]:
            self._elifs.pop(self._indents.pop(), None)
        if indent > self._indents[-1]:
            self._indents.append(indent)
            if len(self._indents) > INDENTS_MAX + 1:
                raise self.error(
                    "the indentation is too deep", f"at most {INDENTS_MAX} levels", place, text
                )
        if text == "elif":
            self._elifs[indent] = self._elifs.get(indent, 0) + 1
            if sum(self._elifs.values()) + len(self._indents) - 1 > BLOCKS_MAX:
                raise self.error("too many elif", f"at most {BLOCKS_MAX} blocks", place, text)
        elif text != "else":
            self._elifs.pop(indent, None)
        self._loop = text == "for"

    def _string(self, text: str, place: int) -> None:
        if self._previous == "string":
            raise self.error("strings side by side", "write one string", place, text)
        if wrong := _ESCAPE.search(text):
            raise self.error(
                "this escape is not allowed", r"use \\ \' \" \n or \xNN",
                place + wrong.start(), text[:2],
            )  # fmt: skip

    def _name(self, text: str, place: int) -> None:
        if len(text) > NAME_CHARS_MAX:
            raise self.error(
                "the name is too long", f"at most {NAME_CHARS_MAX} characters", place, text
            )
        if text.startswith("__"):
            raise self.error(f"'{text}' is not allowed", "no name begins with __", place, text)
        if text in _WORDS and not (text == "in" and self._loop):
            raise self.error(f"'{text}' is not allowed", _WORDS[text], place, text)
        self._loop = self._loop and text != "in"

    def _sign(self, text: str, place: int) -> None:
        if text in _SIGNS:
            raise self.error(f"operator '{text}' is not allowed", _SIGNS[text], place, text)
        if text in _OPENING:
            self._brackets.append(text)
            if len(self._brackets) > BRACKETS_MAX:
                raise self.error("brackets are too deep", f"at most {BRACKETS_MAX}", place, text)
        elif text in _CLOSING:
            opened = self._brackets.pop() if self._brackets else ""
            if not opened or _OPENING.index(opened) != _CLOSING.index(text):
                raise self.error(f"'{text}' closes nothing", "brackets come in pairs", place, text)

    def error(self, message: str, hint: str, place: int, text: str) -> CompileError:
        return self._source.error_at(message, hint=hint, place=place, width=len(text))


def _scan(source: Source) -> None:
    """Refuse what is too deep, too long or no token of the language."""
    scan, text, place, indent, fresh = _Scan(source), source.text, 0, 0, True
    while place < len(text):
        found = _TOKENS.match(text, place)
        if found is None:
            raise _character(source, place)
        kind, token = str(found.lastgroup), found[0]
        if kind == "newline":
            scan.newline()
            indent, fresh = 0, True
        elif kind == "space":
            indent = len(token) if fresh else indent
            fresh = False
        elif kind != "comment":
            fresh = False
            following = text[found.end() : found.end() + 1]
            if (kind == "name" and following in "'\"" and following) or (
                kind == "number" and (following.isalnum() or following in "._") and following
            ):
                raise _character(source, place)
            scan.token(kind, token, place, indent)
        place = found.end()


def _character(source: Source, place: int) -> CompileError:
    text = source.text[place:]
    if text.removeprefix("b")[:1] in ("'", '"'):
        message, hint = "the string is not closed", "close it on the same line"
    elif text[0].isdigit():
        message, hint = "not a number of the language", "integers only, decimal or 0x..."
    elif text[0].isalpha():
        message, hint = "this kind of string is not allowed", 'write "..." or b"..."'
    elif text[0] == "\\":
        message, hint = "lines are not joined by a backslash", "use brackets"
    else:
        message, hint = f"character {text[0]!r} is not allowed", "it is no operator of the language"
    return source.error_at(message, hint=hint, place=place)


_READ: Final[dict[str, tuple[str, ...]]] = {
    "Module": ("body",),
    "ImportFrom": ("module", "names", "level"),
    "alias": ("name",),
    "ClassDef": ("name", "bases", "body", "decorator_list"),
    "FunctionDef": ("name", "args", "body", "decorator_list", "returns"),
    "arguments": ("args",),
    "arg": ("arg", "annotation"),
    "Return": ("value",),
    "Delete": ("targets",),
    "Assign": ("targets", "value"),
    "AugAssign": ("target", "op", "value"),
    "AnnAssign": ("target", "annotation", "value", "simple"),
    "For": ("target", "iter", "body"),
    "While": ("test", "body"),
    "If": ("test", "body", "orelse"),
    "Assert": ("test", "msg"),
    "Expr": ("value",),
    "Pass": (),
    "Break": (),
    "Continue": (),
    "BoolOp": ("op", "values"),
    "BinOp": ("left", "op", "right"),
    "UnaryOp": ("op", "operand"),
    "IfExp": ("test", "body", "orelse"),
    "Compare": ("left", "ops", "comparators"),
    "Call": ("func", "args", "keywords"),
    "keyword": ("arg", "value"),
    "Constant": ("value",),
    "Attribute": ("value", "attr", "ctx"),
    "Subscript": ("value", "slice", "ctx"),
    "Slice": ("lower", "upper"),
    "Name": ("id", "ctx"),
    "Tuple": ("elts", "ctx"),
    **dict.fromkeys(("Load", "Store", "Del", "And", "Or", "Not"), ()),
    **dict.fromkeys(("Add", "Sub", "Mult", "FloorDiv", "Mod"), ()),
    **dict.fromkeys(("BitAnd", "BitOr", "BitXor", "LShift", "RShift"), ()),
    **dict.fromkeys(("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"), ()),
}  # fmt: skip

_IGNORED: Final = {("Constant", "kind")}
"""The `u` of a string, which the scanner refuses."""

_HINTS: Final = {
    "Import": "write from qlq.contract import ...",
    "List": "declare a Map field, or a Struct",
    "ListComp": "write a for loop",
    "GeneratorExp": "write a for loop",
    "Starred": "write the values one by one",
    "Match": "write if and elif",
    "USub": "there are no negative numbers: subtract from something larger",
    "UAdd": "write the number alone",
    "MatMult": "there are no matrices",
    "Yield": "return a value",
    "JoinedStr": "write the text; events carry values",
}
_KINDS: Final = {
    "Import": "the import of a module as a whole",
    "List": "a list",
    "ListComp": "a comprehension",
    "GeneratorExp": "a comprehension",
    "Starred": "a starred value",
    "Match": "match",
    "USub": "a negative value",
    "UAdd": "a sign before a value",
    "MatMult": "the operator @",
    "JoinedStr": "a string with values in it",
}
"""What people call it, where that is not the name of its node."""
_FIELD_HINTS: Final = {
    ("alias", "asname"): "import names as they are",
    ("arguments", "defaults"): "callers give every argument: remove the default",
    ("arguments", "vararg"): "name every parameter",
    ("arguments", "kwarg"): "name every parameter",
    ("ClassDef", "keywords"): "name the base alone",
    ("For", "orelse"): "write the block after the loop",
    ("While", "orelse"): "write the block after the loop",
    ("Slice", "step"): "a slice has a start and a stop",
}


def _admit(source: Source, tree: ast.Module) -> None:
    """Refuse nodes and fields that the checker does not read, deep expressions, huge functions."""
    pending: list[tuple[ast.AST, ast.AST, ast.AST, int]] = [(tree, tree, tree, 0)]
    nodes: dict[ast.AST, int] = {}
    while pending:
        node, place, function, depth = pending.pop()
        place = node if hasattr(node, "lineno") else place
        kind = type(node).__name__
        if kind not in _READ:
            raise source.error_node(
                f"{_KINDS.get(kind, repr(kind))} is not in the contract language",
                hint=_HINTS.get(kind, "see docs/contracts-language.md for what is"), node=place,
            )  # fmt: skip
        if isinstance(node, ast.FunctionDef):
            function = node
        nodes[function] = nodes.get(function, 0) + 1
        if nodes[function] > FUNCTION_NODES_MAX and function is not tree:
            raise source.error_node(
                f"the function has more than {FUNCTION_NODES_MAX} nodes of syntax",
                hint="split it", node=function,
            )  # fmt: skip
        if isinstance(node, ast.expr) and depth > EXPRESSION_DEPTH_MAX:
            raise source.error_node(
                f"the expression is nested more than {EXPRESSION_DEPTH_MAX} deep",
                hint="assign a part of it to a variable first", node=place,
            )  # fmt: skip
        children = list(_children(source, node, kind, place))
        pending.extend(
            (child, place, function, _depth(node, depth, at)) for at, child in children[::-1]
        )


def _depth(node: ast.AST, depth: int, at: int) -> int:
    """Conditions that are joined count as nested: each stands behind those before it."""
    if isinstance(node, ast.BoolOp):
        return depth + 1 + at
    return depth + 1 if isinstance(node, ast.expr | ast.keyword) else 0


def _children(
    source: Source, node: ast.AST, kind: str, place: ast.AST
) -> Iterator[tuple[int, ast.AST]]:
    """The nodes below, in the order of the source, each with its number within its field."""
    for name in node._fields:
        value = getattr(node, name, None)
        if name not in _READ[kind]:
            if value not in (None, []) and (kind, name) not in _IGNORED:
                raise source.error_node(
                    f"'{name}' of '{kind}' is not in the contract language",
                    hint=_FIELD_HINTS.get((kind, name), "leave it out"), node=place,
                )  # fmt: skip
        elif isinstance(value, list):
            yield from enumerate(part for part in value if isinstance(part, ast.AST))
        elif isinstance(value, ast.AST):
            yield 0, value
