"""Makes blocks on a home's ledger and says which are acknowledged, until it is killed.

python ledger_worker.py HOME SETTINGS_FOLDER
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from qlq.config import Settings
from qlq.crypto.signing import Algorithm, SigningKey
from qlq.ledger import address, genesis, holdings, transaction
from qlq.ledger.operations import Anchor, Enrol
from qlq.ledger.transaction import Draft, SignedTransaction
from qlq.node import chains
from qlq.node.validator import Validator

PERSON = SigningKey(Algorithm.ED25519, hashlib.sha256(b"person").digest())
ACCOUNT = address.of(PERSON.verifying_key)
IN_A_BLOCK = 5


def settings(home: str, folder: str) -> Settings:
    """Of a home with a passphrase."""
    return Settings(
        home=Path(home),
        settings_folder=Path(folder),
        backend="aer",
        passphrase="of the test",  # noqa: S106
        origins={},
    )


def send(
    validator: Validator, key: SigningKey, account: bytes, operation: Anchor | Enrol, nonce: int
) -> None:
    """Let one transaction wait."""
    draft = Draft(
        chain=validator.rules.chain,
        sender=account,
        nonce=nonce,
        valid_until=validator.tip.height + 100,
        fee=0,
        salt=os.urandom(16),
        operations=(operation,),
    )
    known = holdings.find_account(validator.state, account)
    shown = None if known is not None and known.key else key.verifying_key
    own = transaction.sign(draft, account, key, shown=shown)
    validator.submit(SignedTransaction(draft, (own,)).to_bytes(), peer="")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    found = settings(*sys.argv[1:3])
    if not chains.exists(found):
        chains.begin(chains.Beginning("test", genesis.QUOTAS, genesis.Limits(), None, 0), found)
    with chains.opened(found) as validator:
        say(f"ready {validator.tip.height}")
        if holdings.find_account(validator.state, ACCOUNT) is None:
            keys = chains.open_keys(found)
            own = holdings.find_account(validator.state, keys.address)
            nonce = 0 if own is None else own.nonce
            send(validator, keys.signing, keys.address, Enrol(ACCOUNT), nonce)
            validator.make_block()
        while True:
            account = holdings.find_account(validator.state, ACCOUNT)
            base = 0 if account is None else account.nonce
            for index in range(IN_A_BLOCK):
                anchor = Anchor(1, os.urandom(32))
                send(validator, PERSON, ACCOUNT, anchor, base + index)
            for made in validator.make_block()[0]:
                say(f"block {made.block.header.height} {made.block.header.hash.hex()}")


if __name__ == "__main__":
    main()
