"""What a byte of a file holds, and the way out where it holds something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlq.errors import ConfigError
from qlq.qrng import sample_files
from qlq.qrng.sample_files import Form


def test_packed_bits_come_highest_place_first() -> None:
    assert sample_files.read_bits(b"\xa5", form=Form.PACKED).tolist() == [1, 0, 1, 0, 0, 1, 0, 1]


def test_text_may_have_blanks_and_lines() -> None:
    assert sample_files.read_bits(b"01 1\r\n\t0\n", form=Form.TEXT).tolist() == [0, 1, 1, 0]


def test_symbols_are_one_a_byte() -> None:
    assert sample_files.read_bits(b"\x00\x01\x01", form=Form.SYMBOLS).tolist() == [0, 1, 1]
    found = sample_files.read_samples(b"\x00\x07\x02", form=Form.SYMBOLS, bits=None)
    assert (found.bits, found.raw.tolist(), found.symbols.tolist()) == (3, [0, 7, 2], [0, 2, 1])


@given(data=st.binary(min_size=1, max_size=40), bits=st.sampled_from([None, 1]))
def test_packed_samples_are_bits(data: bytes, bits: int | None) -> None:
    if set(data) <= {0, 1} or set(data) <= set(b"01 \t\r\n"):
        return
    found = sample_files.read_samples(data, form=Form.PACKED, bits=bits)
    assert found.bits == 1
    assert "".join(map(str, found.raw.tolist())) == "".join(f"{byte:08b}" for byte in data)


@pytest.mark.parametrize(
    ("data", "form", "bits", "words"),
    [
        (b"", Form.SYMBOLS, None, "empty"),
        (b"", Form.PACKED, None, "empty"),
        (b"", Form.TEXT, None, "empty"),
        (b"\xff\x10", Form.SYMBOLS, 1, "packed bits: --form packed, or --bits 8"),
        (b"\x0f\x02", Form.SYMBOLS, 2, "4 bits, one a byte: --form symbols --bits 4"),
        (b"\x00\x01", Form.PACKED, None, "one bit a byte: --form symbols"),
        (b"0110\n", Form.PACKED, None, "text: --form text"),
        (b"0120", Form.TEXT, None, "not of the digits 0 and 1 alone"),
        (b" \n", Form.TEXT, None, "not of the digits 0 and 1 alone"),
        (b"\xff\x01", Form.PACKED, 8, "leave --bits 8 out"),
        (b"01", Form.TEXT, 2, "leave --bits 2 out"),
    ],
)
def test_another_form_is_refused_with_the_way_out(
    data: bytes, form: Form, bits: int | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        sample_files.read_samples(data, form=form, bits=bits)


def test_a_symbol_is_no_bit() -> None:
    with pytest.raises(ConfigError, match="symbol 5 is no bit; it looks like symbols of 3 bits"):
        sample_files.read_bits(b"\x05\x00", form=Form.SYMBOLS)


def test_what_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_files, "BYTES_MAX", 4)
    with pytest.raises(ConfigError, match="5 bytes are more than the 4"):
        sample_files.read_bits(b"\x00" * 5, form=Form.SYMBOLS)
    monkeypatch.setattr(sample_files, "ASSESSED_BITS_MAX", 16)
    with pytest.raises(ConfigError, match="3 samples of 8 bits are more than the 16"):
        sample_files.read_samples(b"\xff\x01\x02", form=Form.SYMBOLS, bits=None)
