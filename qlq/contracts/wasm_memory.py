"""The one page of a contract's memory: what stands where, and how a host call is passed in it.

    0    gas left (u64)         8    state of a host call (u32)      12   line of the source (u32)
    16   six words (u32) and 40 two wide words (u64): what a host call is given or gives back
    56   number of the method   60   address of the result           64   its size
    68   reason of a failure    72   its code               80   a number as a result (u64)
    96   sender, own address, chain, asset (32 bytes each), value, height, time (u64 each)
    256  encoded arguments, at most 8 KiB
    8448 constants, then slots of locals and temporaries: each has its own, as nothing recurs

All numbers are little-endian. The guest sets the state of a host call to `PENDING` before it, the
host sets it to `DONE` as the last thing. So a host call that ends in any other way, even by an
error in the host that nobody thought of, makes the guest stop at once.
"""

from __future__ import annotations

from struct import Struct

GAS = 0
STATE = 8
LINE = 12
WORDS = 16
WORD_COUNT = 6
WIDE = 40
WIDE_COUNT = 2
METHOD = 56
RESULT = 60
RESULT_SIZE = 64
REASON = 68
CODE = 72
SENDER, THIS, CHAIN, ASSET = 96, 128, 160, 192
VALUE, HEIGHT, TIME = 224, 232, 240
NUMBER = 80
ARGUMENTS = 256
ARGUMENT_BYTES_MAX = 8192
SLOTS = ARGUMENTS + ARGUMENT_BYTES_MAX

DONE, PENDING = 0, 1

CALL_IN = Struct("<Q8x6I2Q")
"""At `GAS`: gas, six words, two wide words."""
CALL_IN_FOUR = Struct("<Q8x4I")
"""The same for a call with no more than four words."""
CALL_OUT = Struct("<QI")
"""At `GAS`: gas, state."""
STATE_OUT = Struct("<I")
"""At `STATE`."""
WIDE_OUT = Struct("<Q")
"""At `WIDE`: the result of a host call that gives a number."""
START = Struct("<QI44xIIIII")
"""At `GAS`: gas, state, method, result, its size, reason, code."""
ENDING = Struct("<QII44xIIII")
"""At `GAS`: gas, state, line, result, its size, reason, code."""
ENVIRONMENT = Struct("<32s32s32s32sQQQ")
"""At `SENDER`: sender, own address, chain, asset, value, height, time."""

EXPORT = "run"
"""The one exported function: it runs the method whose number stands at `METHOD`."""
