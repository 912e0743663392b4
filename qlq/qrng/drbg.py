"""Deterministic random bit generators of SP 800-90A: CTR_DRBG and HMAC_DRBG.

A state is a frozen value: `generate` returns bytes and the state after. Whoever holds a state
replaces it at once; a state that is used twice gives the same bytes twice.

    instantiate --> State --generate--> bytes, State --reseed--> State

Source:
    NIST SP 800-90A revision 1, sections 9, 10.1.2 (HMAC_DRBG, SHA-256) and 10.2.1 (CTR_DRBG,
    AES-256, no derivation function).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from qlq.errors import EntropyRefused


class Mechanism(StrEnum):
    """Which generator; both have a security strength of 256 bits."""

    CTR_AES256 = "ctr-drbg-aes-256"
    """Needs 48 bytes of full entropy. Gigabytes a second."""
    HMAC_SHA256 = "hmac-drbg-sha-256"
    """Takes a seed of any even quality of at least 256 bits of entropy, and a nonce."""


SEED_BYTES = 48
"""Key and counter block of CTR_DRBG. Source: SP 800-90A table 3, seedlen 384."""
STRENGTH_BYTES = 32
"""Security strength, 256 bits."""
NONCE_BYTES_MIN = 16
"""Half the security strength. Source: SP 800-90A section 8.6.7."""
REQUEST_BYTES_MAX = 1 << 16
"""2^19 bits of one request. Source: SP 800-90A tables 2 and 3."""
RESEED_INTERVAL = 1 << 48
"""Requests between two seeds. Source: SP 800-90A tables 2 and 3."""
HMAC_INPUT_BYTES_MAX = 1 << 20
"""Bound of every input of HMAC_DRBG; the standard's is 2^32 bytes, which nobody needs."""

_BLOCK = 16
_KEY = 32


class ReseedRequired(EntropyRefused):
    """The state has served as many requests as one seed may; reseed it."""


@dataclass(frozen=True, slots=True)
class State:
    """Working state of a generator. `repr` shows neither key nor counter.

    Attributes:
        mechanism: Which generator.
        key: K, 32 bytes.
        v: V; 16 bytes for CTR_DRBG, 32 for HMAC_DRBG.
        requests: The reseed counter of the standard: 1 after a seed, one more after each request.
        reseed_interval: Requests that one seed may serve, at most 2^48.
    """

    mechanism: Mechanism
    key: bytes = field(repr=False)
    v: bytes = field(repr=False)
    requests: int
    reseed_interval: int


def instantiate(
    mechanism: Mechanism,
    *,
    entropy_input: bytes,
    nonce: bytes = b"",
    personalization: bytes = b"",
    reseed_interval: int = RESEED_INTERVAL,
) -> State:
    """The state that a seed determines.

    Args:
        mechanism: Which generator.
        entropy_input: CTR_DRBG: 48 bytes of full entropy. HMAC_DRBG: at least 32 bytes.
        nonce: HMAC_DRBG: at least 16 bytes, never used twice. CTR_DRBG takes none.
        personalization: Tells this generator from others; not secret. At most 48 bytes for
            CTR_DRBG.
        reseed_interval: Requests that one seed may serve, 1 to 2^48.

    Raises:
        ValueError: An input's length or the interval is outside its range.
    """
    if not 1 <= reseed_interval <= RESEED_INTERVAL:
        raise ValueError(
            f"a seed serves from 1 to {RESEED_INTERVAL} requests, not {reseed_interval}"
        )
    _check_entropy(mechanism, entropy_input)
    if mechanism is Mechanism.CTR_AES256:
        if nonce:
            raise ValueError(f"CTR_DRBG takes no nonce, not one of {len(nonce)} bytes")
        material = _xor(entropy_input, _padded(personalization, "personalization"))
        key, v = _ctr_update(material, bytes(_KEY), bytes(_BLOCK))
    else:
        if not NONCE_BYTES_MIN <= len(nonce) <= HMAC_INPUT_BYTES_MAX:
            raise ValueError(f"a nonce has at least {NONCE_BYTES_MIN} bytes, not {len(nonce)}")
        _check_length(personalization, HMAC_INPUT_BYTES_MAX, "personalization")
        material = entropy_input + nonce + personalization
        key, v = _hmac_update(material, bytes(_KEY), b"\x01" * _KEY)
    return State(mechanism, key, v, 1, reseed_interval)


def reseed(state: State, *, entropy_input: bytes, additional: bytes = b"") -> State:
    """The state after fresh entropy has come in; what came before cannot be found from it.

    Args:
        state: Any state.
        entropy_input: As for `instantiate`.
        additional: Not secret. At most 48 bytes for CTR_DRBG.

    Raises:
        ValueError: An input's length is outside its range.
    """
    _check_entropy(state.mechanism, entropy_input)
    if state.mechanism is Mechanism.CTR_AES256:
        material = _xor(entropy_input, _padded(additional, "additional input"))
        key, v = _ctr_update(material, state.key, state.v)
    else:
        _check_length(additional, HMAC_INPUT_BYTES_MAX, "additional input")
        key, v = _hmac_update(entropy_input + additional, state.key, state.v)
    return replace(state, key=key, v=v, requests=1)


def generate(state: State, count: int, *, additional: bytes = b"") -> tuple[bytes, State]:
    """`count` bytes and the state after.

    Args:
        state: Not used up.
        count: 0 to 2^16.
        additional: Not secret. At most 48 bytes for CTR_DRBG.

    Raises:
        ValueError: An input is outside its range.
        ReseedRequired: The seed has served its requests.
    """
    if not 0 <= count <= REQUEST_BYTES_MAX:
        raise ValueError(f"a request is for 0 to {REQUEST_BYTES_MAX} bytes, not {count}")
    if state.requests > state.reseed_interval:
        raise ReseedRequired(
            f"this seed has served {state.reseed_interval} requests: reseed the generator"
        )
    if state.mechanism is Mechanism.CTR_AES256:
        output, key, v = _ctr_generate(state, count, additional)
    else:
        _check_length(additional, HMAC_INPUT_BYTES_MAX, "additional input")
        output, key, v = _hmac_generate(state, count, additional)
    return output, replace(state, key=key, v=v, requests=state.requests + 1)


def generate_resistant(
    state: State, count: int, *, entropy_input: bytes, additional: bytes = b""
) -> tuple[bytes, State]:
    """`count` bytes with prediction resistance: fresh entropy comes in before they are made.

    Whoever knew the state before cannot know these bytes. The additional input goes into the
    reseed and not again into the request.

    Args:
        state: Any state, also one that is used up.
        count: 0 to 2^16.
        entropy_input: As for `instantiate`.
        additional: As for `reseed`.

    Raises:
        ValueError: An input is outside its range.

    Source:
        SP 800-90A section 9.3.1, steps 7.1 to 7.4.
    """
    fresh = reseed(state, entropy_input=entropy_input, additional=additional)
    return generate(fresh, count)


def _check_entropy(mechanism: Mechanism, entropy_input: bytes) -> None:
    size = len(entropy_input)
    if mechanism is Mechanism.CTR_AES256 and size != SEED_BYTES:
        raise ValueError(f"CTR_DRBG takes {SEED_BYTES} bytes of entropy, not {size}")
    if not STRENGTH_BYTES <= size <= HMAC_INPUT_BYTES_MAX:
        raise ValueError(f"an entropy input has at least {STRENGTH_BYTES} bytes, not {size}")


def _check_length(data: bytes, most: int, what: str) -> None:
    if len(data) > most:
        raise ValueError(f"the {what} has at most {most} bytes, not {len(data)}")


def _padded(data: bytes, what: str) -> bytes:
    """The input with zeros on the right, as long as a seed."""
    _check_length(data, SEED_BYTES, what)
    return data.ljust(SEED_BYTES, b"\x00")


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))


def _successor(v: bytes, steps: int) -> bytes:
    """V after so many increments, a 128-bit big-endian counter."""
    return ((int.from_bytes(v) + steps) % (1 << 128)).to_bytes(_BLOCK)


def _keystream(key: bytes, v: bytes, count: int) -> bytes:
    """AES(key, V + 1), AES(key, V + 2), ..., `count` bytes: V is incremented before it is used."""
    encryptor = Cipher(algorithms.AES256(key), modes.CTR(_successor(v, 1))).encryptor()
    return encryptor.update(bytes(count))


def _ctr_update(provided: bytes, key: bytes, v: bytes) -> tuple[bytes, bytes]:
    """CTR_DRBG_Update. Source: SP 800-90A section 10.2.1.2."""
    temp = _xor(_keystream(key, v, SEED_BYTES), provided)
    return temp[:_KEY], temp[_KEY:]


def _ctr_generate(state: State, count: int, additional: bytes) -> tuple[bytes, bytes, bytes]:
    """Output, key, V. Source: SP 800-90A section 10.2.1.5.1.

    Output and the final update use one key and one run of the counter: one call makes both.
    """
    key, v, provided = state.key, state.v, bytes(SEED_BYTES)
    if additional:
        provided = _padded(additional, "additional input")
        key, v = _ctr_update(provided, key, v)
    whole = -(-count // _BLOCK) * _BLOCK
    stream = _keystream(key, v, whole + SEED_BYTES)
    temp = _xor(stream[whole:], provided)
    return stream[:count], temp[:_KEY], temp[_KEY:]


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _hmac_update(provided: bytes, key: bytes, v: bytes) -> tuple[bytes, bytes]:
    """HMAC_DRBG_Update. Source: SP 800-90A section 10.1.2.2."""
    for separator in (b"\x00", b"\x01"):
        key = _mac(key, v + separator + provided)
        v = _mac(key, v)
        if not provided:
            break
    return key, v


def _hmac_generate(state: State, count: int, additional: bytes) -> tuple[bytes, bytes, bytes]:
    """Output, key, V. Source: SP 800-90A section 10.1.2.5."""
    key, v = state.key, state.v
    if additional:
        key, v = _hmac_update(additional, key, v)
    blocks = []
    for _ in range(-(-count // _KEY)):
        v = _mac(key, v)
        blocks.append(v)
    key, v = _hmac_update(additional, key, v)
    return b"".join(blocks)[:count], key, v
