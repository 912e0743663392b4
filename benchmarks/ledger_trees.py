"""Speed and memory of the ledger's trees: roots of logs beside pymerkle, state trees beside marks.

python benchmarks/ledger_trees.py [--json] [--small]
"""

from __future__ import annotations

import math
import os
import tracemalloc
from typing import Any

import measuring
import pymerkle

from qlq.ledger import merkle, state_tree
from qlq.ledger.merkle import Frontier
from qlq.ledger.state_tree import EMPTY

LOG_ENTRIES, SMALL_LOG_ENTRIES = 500_000, 20_000
STATE_ENTRIES, SMALL_STATE_ENTRIES = 100_000, 5_000
BLOCK_CHANGES = 400  # 200 transactions that touch two entries each
LOG_MARK, REBUILD_MARK, BLOCK_MARK_MS = 500_000, 150_000, 15.0


def mark(value: float) -> dict[str, Any]:
    """The reference is what we ask of ourselves."""
    return {"reference": "mark", "reference_value": value}


def peer_root(entries: list[bytes]) -> bytes:
    """The same root by pymerkle."""
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries(entries)
    return tree.get_root()


def grown(leaf_hashes: list[bytes]) -> Frontier:
    """A log appended to block by block, each header taking the root."""
    frontier = Frontier()
    for leaf_hash in leaf_hashes:
        frontier = frontier.append(leaf_hash)
        frontier.root  # noqa: B018 - a header's log root
    return frontier


def measure_log(count: int) -> list[dict[str, Any]]:
    """Roots over entries, and a log that grows by one entry at a time."""
    entries = [os.urandom(32) for _ in range(count)]
    fewer = entries[: count // 10]
    if merkle.root(fewer) != peer_root(fewer):
        raise SystemExit("our root is not pymerkle's")
    ours = count / measuring.best_time_s(lambda: merkle.root(entries), 3)
    peer = len(fewer) / measuring.best_time_s(lambda: peer_root(fewer), 3)
    leaf_hashes = [merkle.leaf_hash(entry) for entry in fewer]
    growing = len(fewer) / measuring.best_time_s(lambda: grown(leaf_hashes), 3)
    return [
        measuring.measurement("log_root", ours, "leaves/s", **mark(LOG_MARK)),
        measuring.measurement(
            "log_root_beside_peer", ours, "leaves/s", reference="pymerkle", reference_value=peer
        ),
        measuring.measurement("log_append_and_root", growing, "blocks/s"),
    ]


def measure_state(count: int) -> list[dict[str, Any]]:
    """A tree from nothing, a block's changes, and proofs."""
    entries = {b"A" + os.urandom(32): os.urandom(80) for _ in range(count)}
    keys = list(entries)
    tree = EMPTY.update(entries)
    changes = {key: os.urandom(80) for key in keys[: BLOCK_CHANGES * 3 // 4]}
    changes |= {b"B" + os.urandom(32): os.urandom(80) for _ in range(BLOCK_CHANGES // 4)}
    key, value = next(iter(entries.items()))
    proof = tree.prove(key)
    longest = max(len(tree.prove(key).to_bytes()) for key in keys)

    def verify() -> None:
        state_tree.verify_membership(proof, key=key, value=value, root_hash=tree.root)

    bytes_mark = 32 * (math.log2(count) + 6) + 100
    rebuilt = count / measuring.best_time_s(lambda: EMPTY.update(entries), 3)
    block_ms = 1e3 * measuring.best_time_s(lambda: tree.update(changes), 7)
    return [
        measuring.measurement("state_rebuild", rebuilt, "keys/s", **mark(REBUILD_MARK)),
        measuring.measurement(
            f"state_block_of_{BLOCK_CHANGES}", block_ms, "ms", **mark(BLOCK_MARK_MS)
        ),
        measuring.measurement(
            "state_prove", 1e6 * measuring.best_time_s(lambda: tree.prove(key), 200), "us"
        ),
        measuring.measurement("state_verify", 1e6 * measuring.best_time_s(verify, 200), "us"),
        measuring.measurement("state_proof_longest", longest, "bytes", **mark(bytes_mark)),
    ]


def measure_memory(count: int) -> list[dict[str, Any]]:
    """What a tree holds beside the map itself, and what a changed one holds beside the old."""
    entries = {os.urandom(32): b"value" for _ in range(count)}
    changes = dict.fromkeys(list(entries)[:BLOCK_CHANGES], b"changed")
    tracemalloc.start()
    tree = EMPTY.update(entries)
    whole, _ = tracemalloc.get_traced_memory()
    other = tree.update(changes)
    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if other.size != tree.size:
        raise SystemExit("a changed tree of another size")
    return [
        measuring.measurement("state_memory", whole / count, "bytes/key"),
        measuring.measurement(f"state_memory_of_{BLOCK_CHANGES}", (both - whole) / 1e3, "kB"),
    ]


def measurements(*, small: bool) -> list[dict[str, Any]]:
    """Everything measured, at the sizes of our claims or at small ones."""
    entries = SMALL_STATE_ENTRIES if small else STATE_ENTRIES
    return [
        *measure_log(SMALL_LOG_ENTRIES if small else LOG_ENTRIES),
        *measure_state(entries),
        *measure_memory(entries),
    ]


def main() -> None:
    """Measure and print."""
    asked = measuring.options(__doc__, small="small sizes, to try the script")
    measuring.show(measurements(small=asked.small), asked)


if __name__ == "__main__":
    main()
