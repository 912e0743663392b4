"""Every operation on numbers, each in a method of its own."""

from qlq.contract import Contract, Enum, Map, external, mul_div, u64, u128, view


class Colour(Enum):
    RED = 0
    GREEN = 1
    BLUE = 2


class Arithmetic(Contract):
    narrow: u64
    wide: u128
    seen: Map[Colour, u64]

    @view
    def add(self, a: u64, b: u64) -> u64:
        return a + b

    @view
    def subtract(self, a: u64, b: u64) -> u64:
        return a - b

    @view
    def multiply(self, a: u64, b: u64) -> u64:
        return a * b

    @view
    def divide(self, a: u64, b: u64) -> u64:
        return a // b

    @view
    def remainder(self, a: u64, b: u64) -> u64:
        return a % b

    @view
    def bits(self, a: u64, b: u64) -> u64:
        return (a & b) | (a ^ 3)

    @view
    def shifts(self, a: u64, b: u64) -> u64:
        return (a >> b) << b

    @view
    def left(self, a: u64, b: u64) -> u64:
        return a << b

    @view
    def scale(self, a: u64, b: u64, c: u64) -> u64:
        return mul_div(a, b, c)

    @view
    def compare(self, a: u64, b: u64) -> u64:
        found: u64 = 0
        if a < b:
            found += 1
        if a <= b:
            found += 2
        if a > b:
            found += 4
        if a >= b:
            found += 8
        if a == b:
            found += 16
        if a != b:
            found += 32
        return found

    @view
    def add_wide(self, a: u128, b: u128) -> u128:
        return a + b

    @view
    def subtract_wide(self, a: u128, b: u128) -> u128:
        return a - b

    @view
    def multiply_wide(self, a: u128, b: u128) -> u128:
        return a * b

    @view
    def divide_wide(self, a: u128, b: u128) -> u128:
        return a // b

    @view
    def remainder_wide(self, a: u128, b: u128) -> u128:
        return a % b

    @view
    def bits_wide(self, a: u128, b: u128) -> u128:
        return (a & b) | (a ^ 3)

    @view
    def shifts_wide(self, a: u128, b: u128) -> u128:
        return (a >> b) << b

    @view
    def left_wide(self, a: u128, b: u128) -> u128:
        return a << b

    @view
    def scale_wide(self, a: u128, b: u128, c: u128) -> u128:
        return mul_div(a, b, c)

    @view
    def compare_wide(self, a: u128, b: u128) -> u64:
        found: u64 = 0
        if a < b:
            found += 1
        if a <= b:
            found += 2
        if a > b:
            found += 4
        if a >= b:
            found += 8
        if a == b:
            found += 16
        if a != b:
            found += 32
        return found

    @view
    def mixed(self, a: u128, b: u64) -> u64:
        product: u128 = a * u128(b) + u128(a > 5)
        return u64(product // 3) + u64(product > 1000)

    @external
    def accumulate(self, a: u64, b: u128) -> u128:
        self.narrow += a
        self.wide += b * u128(self.narrow)
        self.wide -= u128(self.narrow)
        return self.wide

    @external
    def paint(self, number: u64, flag: bool) -> Colour:
        colour: Colour = Colour(number)
        self.seen[colour] += 1
        if (flag and colour < Colour.BLUE) or (not flag and self.seen[colour] > 2):
            return Colour.RED
        return colour if u64(colour) != 1 else Colour.GREEN
