"""What work costs: one table for the checker, which writes charges into programs, and the host.

A program's own work is charged at the entry of each basic block, see `program.Charge`; what the
host does is charged there, before it is done. docs/contracts-language.md tells which construct
costs what. A change of any number is a change of consensus.

Source: one unit is about 1.3 ns of the WebAssembly engine; benchmarks/contracts.py measures.
"""

from __future__ import annotations

TRANSACTION_MAX = 10_000_000
BLOCK_MAX = 100_000_000

SIMPLE = 1
"""A literal, a name, a sum, a comparison, a branch."""
PRODUCT = 2
"""A product, quotient or remainder of u64."""
SIMPLE_128 = 4
"""A sum, difference, comparison or bit operation of u128."""
PRODUCT_128 = 16
QUOTIENT_128 = 160
MUL_DIV = 40
"""Of u64: a product of 128 bits and a quotient."""
MUL_DIV_128 = 400
"""Of u128: a product of 256 bits and a quotient."""
WORD = 1
"""Copying, comparing, packing or making 8 bytes, or a part of them."""
INTERNAL_CALL = 10
LOOP_TURN = 3

STORAGE_READ = 1_200
STORAGE_READ_BYTE = 1
STORAGE_WRITE = 2_000
STORAGE_WRITE_BYTE = 10
STORAGE_NEW = 5_000
"""For an entry that was not there, on top of the write."""
PAGE = 1_200
PAGE_ENTRY = 400
EVENT = 1_000
EVENT_BYTE = 8
BALANCE = 1_200
TRANSFER = 4_000
CALL = 8_000
CALL_BYTE = 1
HASH = 800
HASH_BYTE = 3
VERIFY_ED25519 = 120_000
VERIFY_MLDSA65 = 250_000
BEACON = 1_600
BEACON_DRAW = 800
"""For each draw again of a uniform number."""
DEPLOY = 50_000
DEPLOY_BYTE = 200
"""For each byte of the source."""
