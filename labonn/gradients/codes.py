"""Walsh codes in natural (Sylvester) order: code i at time k is + where i & k has an even number of set bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labonn.banks import Ints
from labonn.channels import Floats
from labonn.errors import ProcedureError

SPARE = 8  # codes that carry no parameter and so measure the noise, at least


def set_bits(count: int) -> Ints:
    """(count,) numbers of set bits of 0, 1, 2, ...; count is a power of two."""
    bits = np.zeros(1, dtype=np.int64)
    while len(bits) < count:
        bits = np.concatenate([bits, bits + 1])
    return bits


def transform(values: Floats) -> Floats:
    """(M,) sums of `values` times each of the M codes, in O(M log M)."""
    length, out = len(values), values
    half = 1
    while half < length:
        pairs = out.reshape(-1, 2, half)
        out = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(length)
        half *= 2
    return out


def packed(codes: Ints, rows: int) -> NDArray[np.uint8]:
    """(rows, ceil(len(codes) / 8)) signs of the codes at times 0 to rows - 1, packed for a `Dither`: 1 = plus.

    The signs at time 2^m + k are those at k, turned for the codes that have bit m: each half of the table makes the next.
    """
    minus = np.zeros((rows, -(-len(codes) // 8)), dtype=np.uint8)
    half = 1
    while half < rows:
        minus[half : 2 * half] = minus[:half] ^ np.packbits((codes & half) != 0)
        half *= 2
    return ~minus


def autocorrelation(codes: Ints, length: int, lags: int) -> Floats:
    """(len(codes), lags) sums over k of code(k) code(k + lag), for codes of `length` times.

    A code of bits b_n ... b_0 is that of b_n ... b_1 with each sign s followed by s or -s as b_0 says; so its sums follow from those
    of the shorter code.
    """
    sums = np.zeros((len(codes), lags + 1))
    sums[:, 0] = 1
    lag = np.arange(lags)
    bit = length // 2
    while bit:
        turn = np.where(codes & bit, -1.0, 1.0)[:, None]
        near, next_ = sums[:, lag // 2], sums[:, lag // 2 + 1]
        sums[:, :lags] = np.where(lag % 2, turn * (near + next_), 2 * near)
        bit //= 2
    return sums[:, :lags]


def assign(free: NDArray[np.bool_], rows: int | None, bits: int, rng: np.random.Generator) -> tuple[Ints, Ints, int]:
    """Codes for the free parameters, at random among those with enough set bits.

    Args:
        rows: M, a power of two; None: the smallest that is enough. bits: set bits a code has at least.

    Returns:
        (P,) code of every parameter, 0 for those that are not free; codes that are left; M.
    """
    if bits < 1 or (rows is not None and (rows < 1 or rows & (rows - 1))):
        raise ProcedureError(f"rows is {rows} and bits {bits}; rows is a power of two, bits 1 or more")
    wanted = np.count_nonzero(free) + SPARE
    length = rows or 2
    eligible = np.flatnonzero(set_bits(length) >= bits)
    while rows is None and len(eligible) < wanted:
        length *= 2
        eligible = np.flatnonzero(set_bits(length) >= bits)
    if len(eligible) < wanted:
        raise ProcedureError(
            f"{rows} rows have {len(eligible)} codes of {bits} or more set bits; {wanted} are wanted, one for each of "
            f"{wanted - SPARE} parameters and {SPARE} to measure the noise with"
        )
    drawn = rng.permutation(eligible)
    codes = np.zeros(len(free), dtype=np.int64)
    codes[free] = drawn[: wanted - SPARE]
    return codes, np.sort(drawn[wanted - SPARE :]), length
