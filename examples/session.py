"""A BB84 session through the Python API: run it, keep it, check it."""

import os
import sys
from pathlib import Path

from qlq.archive import verify
from qlq.backends import registry
from qlq.node import parties, sessions
from qlq.qkd import parameters
from qlq.qkd.parameters import Protocol, Wanted

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "mysession")
backend = registry.open_backend("aer:fez")
tolerance = sessions.default_qber_max(backend.describe(), Protocol.BB84)
committed = parameters.commit(Wanted(protocol=Protocol.BB84, pulses=50_000, qber_max=tolerance))
seeds = sessions.Seeds.from_system()
pair = parties.passing_pair(os.urandom(32))  # parties.open_pair(...) keeps the keys
session = sessions.run(committed, backend, pair, seeds=seeds, archive=folder)
backend.close()

print(f"QBER {session.document['qber_test']:.2%}, {session.document['secret_bits']} secret bits")
print(f"archive {'valid' if verify.check(folder).is_valid else 'changed'}")
