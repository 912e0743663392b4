"""What work costs: one table for the checker, which writes charges into programs, and the host.

A program's own work is charged at the entry of each basic block, see `program.Charge`; what the
host does is charged there, before it is done. docs/contracts-language.md tells which construct
costs what. A change of any number is a change of consensus.

Prices of time lie within a factor of three of each other; a unit is some 0.25 to 0.75 ns of one
core. Prices of room, for each byte of an event or of a write and for a new entry, are higher: what
is there stays with every node.

Source: benchmarks/contracts_gas.py measures.
"""

from __future__ import annotations

TRANSACTION_MAX = 10_000_000
BLOCK_MAX = 100_000_000
BLOCK_SOURCE_MAX = 96 * 1024
"""Bytes of sources that one block brings: compiling takes longer than its gas tells."""

SIMPLE = 1
"""A literal, a name, a sum, a comparison, a branch."""
PRODUCT = 2
"""A product, quotient or remainder of u64."""
SIMPLE_128 = 4
"""A sum, difference, comparison or bit operation of u128."""
PRODUCT_128 = 16
QUOTIENT_128 = 1_000
MUL_DIV = 250
"""Of u64: a product of 128 bits and a quotient."""
MUL_DIV_128 = 1_000
"""Of u128: a product of 256 bits and a quotient."""
WORD = 1
"""Copying, comparing, packing or making 8 bytes, or a part of them."""
INTERNAL_CALL = 10
LOOP_TURN = 3

STORAGE_READ = 1_600
STORAGE_READ_BYTE = 1
STORAGE_WRITE = 2_500
STORAGE_WRITE_BYTE = 10
STORAGE_NEW = 5_000
"""For an entry that was not there, on top of the write."""
PAGE = 5_000
PAGE_ENTRY = 1_700
EVENT = 1_300
EVENT_BYTE = 8
BALANCE = 1_600
TRANSFER = 4_500
CALL = 20_000
CALL_BYTE = 1
HASH = 1_800
HASH_BYTE = 3
SHA3_BYTE = 4
"""Processors have instructions for SHA-256 and none for SHA-3."""
VERIFY_ED25519 = 160_000
VERIFY_MLDSA65 = 290_000
BEACON = 2_600
BEACON_DRAW = 1_400
"""For each draw again of a uniform number."""
DEPLOY = 50_000
DEPLOY_BYTE = 200
"""For each byte of the source."""
