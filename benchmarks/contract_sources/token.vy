# pragma version 0.4.3
# The token of benchmarks/contracts_peers.py for the Ethereum virtual machine: what a transfer checks,
# writes and tells is the same as in qlq/contracts/templates/token/contract.py.

event Transfer:
    source: indexed(address)
    target: indexed(address)
    amount: uint64

owner: address
supply: uint64
cap: uint64
balances: HashMap[address, uint64]


@deploy
def __init__(cap: uint64):
    assert cap > 0
    self.owner = msg.sender
    self.cap = cap


@external
def mint(target: address, amount: uint64):
    assert msg.sender == self.owner
    assert target != empty(address)
    assert amount <= self.cap - self.supply
    self.supply += amount
    self.balances[target] += amount
    log Transfer(source=empty(address), target=target, amount=amount)


@external
def transfer(target: address, amount: uint64):
    assert target != empty(address)
    assert self.balances[msg.sender] >= amount
    self.balances[msg.sender] -= amount
    self.balances[target] += amount
    log Transfer(source=msg.sender, target=target, amount=amount)


@external
@view
def balance_of(holder: address) -> uint64:
    return self.balances[holder]
