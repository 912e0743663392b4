"""Whether new code may take the place of old: everything that is stored must keep its meaning.

Entries are found by the names of fields, so that a field may move within the class; it may not go,
and not become something else. Fields may be added.
"""

from __future__ import annotations

from qlq.contracts.compiled import Compiled
from qlq.errors import ContractError


def check(old: Compiled, new: Compiled) -> None:
    """Return if a contract's code may be replaced by this.

    Raises:
        ContractError: The new code lacks a field of the old one, or gives one another type.
    """
    fields = {field.name: field for field in new.program.fields}
    for field in old.program.fields:
        found = fields.get(field.name)
        if found is None:
            raise ContractError(
                f"field {field.name!r} is stored and gone in the new code: keep it, used or not"
            )
        if (found.keys, found.value) != (field.keys, field.value):
            raise ContractError(
                f"field {field.name!r} is stored with another type: keep its type, and add a field "
                "of another name"
            )
