"""Whether new code may take the place of old: everything that is stored must keep its meaning.

Entries are found by the names of fields, so that a field may move within the class; it may not go,
and not become something else. Fields may be added. Names of structs and enums are no part of what
is stored; an enum may get more members at its end. A field that was no round of the beacon may
hold any number, so that new code may not draw from it.
"""

from __future__ import annotations

from qlq.contracts.compiled import Code
from qlq.contracts.encoding import describe
from qlq.contracts.program import StateField
from qlq.contracts.values import BytesType, EnumType, Plain, StructType, Type
from qlq.errors import ContractError


def check(old: Code, new: Code) -> None:
    """Return if a contract's code may be replaced by this.

    Raises:
        ContractError: The new code lacks fields of the old one, gives them other types, or reads
            them as rounds; all of them are named.
    """
    fields = {field.name: field for field in new.fields}
    were_rounds, are_rounds = _rounds(old), _rounds(new)
    faults = []
    for before in old.fields:
        after = fields.get(before.name)
        if after is None:
            faults.append(f"'{before.name}' ({_declared(before)}) is removed")
        elif not _keeps(before, after):
            faults.append(f"'{before.name}' was {_declared(before)} and is {_declared(after)}")
        elif before.name in are_rounds - were_rounds:
            faults.append(f"'{before.name}' was no round of the beacon and may hold a known one")
    if faults:
        raise ContractError(
            f"the new code would misread what is stored: {'; '.join(faults)}: keep the field, and "
            "declare another one beside it"
        )


def _rounds(code: Code) -> set[str]:
    return {code.fields[number].name for number in code.rounds}


def _keeps(before: StateField, after: StateField) -> bool:
    old, new = (*before.keys, before.value), (*after.keys, after.value)
    return len(old) == len(new) and all(map(_is_kept, old, new))


def _is_kept(old: Type, new: Type) -> bool:
    """Whether every stored value of the old type is the same value of the new one."""
    match old, new:
        case EnumType(_, members), EnumType(_, more):
            return more[: len(members)] == members
        case StructType(_, fields), StructType(_, others):
            return len(fields) == len(others) and all(
                name == other and _is_kept(part, kind)
                for (name, part), (other, kind) in zip(fields, others, strict=True)
            )
        case _:
            return old == new


def _declared(field: StateField) -> str:
    """The field's type as in sources, structs and enums with what they are made of."""
    text = _described(field.value)
    for key in reversed(field.keys):
        text = f"Map[{_described(key)}, {text}]"
    return text


def _described(kind: Type) -> str:
    match kind:
        case Plain() | BytesType():
            return describe(kind)
        case EnumType(name, members):
            return f"{name} of {', '.join(members)}"
        case StructType(name, fields):
            return f"{name}({', '.join(f'{part}: {_described(of)}' for part, of in fields)})"
