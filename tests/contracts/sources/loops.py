"""Loops of all kinds, and pages of maps."""

from qlq.contract import U64_MAX, Address, Contract, Map, external, u64, u128, view


class Loops(Contract):
    scores: Map[u64, u64]
    holders: Map[Address, u128]
    nested: Map[u64, Map[u128, u64]]
    total: u64

    @view
    def count(self, stop: u64) -> u64:
        total: u64 = 0
        for i in range(stop):
            if i % 3 == 1:
                continue
            if i > 40:
                break
            total += i
        return total

    @view
    def between(self, start: u64, stop: u64) -> u64:
        turns: u64 = 0
        for i in range(start, stop):
            turns += 1
            i = i * 2
            if turns > 30:
                return i
        return turns

    @view
    def tail(self, start: u64) -> u64:
        last: u64 = 0
        for i in range(start, U64_MAX):
            last = i
        return last

    @view
    def table(self, rows: u64, columns: u64) -> u64:
        total: u64 = 0
        for i in range(rows):
            for j in range(columns):
                if j == 3:
                    continue
                if j == i:
                    break
                total += i * columns + j
            else_total: u64 = total
            total = else_total + 1
        return total

    @view
    def collatz(self, number: u64) -> u64:
        steps: u64 = 0
        while number > 1:
            if number % 2 == 0:
                number //= 2
                steps += 1
                continue
            number = number * 3 + 1
            steps += 1
            if steps > 200:
                break
        return steps

    @external
    def score(self, key: u64, value: u64) -> u64:
        old: u64 = self.scores[key]
        self.scores[key] = value
        return old

    @external
    def hold(self, who: Address, amount: u128) -> None:
        self.holders[who] = amount

    @external
    def nest(self, first: u64, second: u128, value: u64) -> None:
        self.nested[first][second] = value

    @view
    def sum_from(self, start: u64) -> u64:
        total: u64 = 0
        for key, value in self.scores.items(start, 5):
            total = total * 31 % 1000003 + key % 1000 + value % 1000
        return total

    @view
    def richest(self, start: Address) -> Address:
        best: u128 = 0
        found: Address = Address()
        for who, amount in self.holders.items(start, 64):
            if amount > best:
                best = amount
                found = who
        return found

    @external
    def sweep(self, first: u64, start: u128) -> u64:
        removed: u64 = 0
        for second, value in self.nested[first].items(start, 3):
            if value % 2 == 0:
                del self.nested[first][second]
                removed += 1
                continue
            for key, score in self.scores.items(value, 2):
                self.total += key % 7 + score % 7
                if self.total % 5 == 0:
                    break
            self.nested[first][second] = value + 1
        return removed * 1000 + self.total % 1000
