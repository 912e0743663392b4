"""An interpreter of the contract language, written from docs/contracts-language.md alone.

It walks the syntax tree that Python's own parser makes of a valid contract. Nothing of
`qlq.contracts` is in it: no checker, no lowering, no encoding, no price. It is slow, and it takes
for granted that the contract is valid.
"""

from __future__ import annotations
