"""Matrices as integers with a scale per row: 8, 4 or 2 bits, packed as docs/blob-format.md says."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .layout import GROUP, PACKED

Floats = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]

_SMALLEST = np.finfo(np.float32).tiny  # of normal numbers: processors that flush the others to zero would divide by it
_LARGEST_MULTIPLIER = 18  # 7 times it is the largest that fits 127


@dataclass(frozen=True)
class Quantized:
    """A matrix of R rows and C columns, as stored.

    Args:
        scale: (R,) what 1 stands for in each row.
        weight: (R, C / weights per byte).
        group: (R, C / 16) multipliers, with 4 bits.
    """

    scale: Floats
    weight: Int8
    group: Int8 | None = None


def quantize(matrix: Floats, bits: int) -> Quantized:
    """Round a matrix to integers of 8, 4 or 2 bits.

    With 8 bits the largest number of a row becomes 127. With 4 bits the scale of the row and the multipliers of its
    groups are searched for the smallest squared error. With 2 bits each row must hold one magnitude and zeros.

    Raises:
        ValueError: The columns do not fill whole bytes or groups, a number is not finite, or with 2 bits a row holds
            several magnitudes.
    """
    check_columns(matrix.shape[1], bits)
    if not np.isfinite(matrix).all():
        raise ValueError("it holds numbers that are not finite")
    largest = np.abs(matrix).max(axis=1)
    if bits == 8:
        scale = _normal(largest / np.float32(127))
        return Quantized(scale, _round(matrix, scale[:, None], 127))
    if bits == 4:
        return _quantize_4_bits(matrix, largest)
    scale = _normal(largest)
    signs = _round(matrix, scale[:, None], 1)
    if not np.array_equal(signs * scale[:, None], matrix):
        raise ValueError("it is not ternary: 2 bits hold rows of one magnitude, its negative and zero")
    return Quantized(scale, _pack_2_bits(signs))


def unpack(weight: Int8, group: Int8 | None, bits: int) -> Int8:
    """The integers (R, C) of a packed matrix: times the row's scale they are its numbers.

    Raises:
        ValueError: A code or a multiplier is not one that `quantize` writes.
    """
    if bits == 8:
        numbers = weight
        if (weight == -128).any():
            raise ValueError("a weight is -128")
    elif bits == 4:
        codes = weight.view(np.uint8)
        numbers = np.stack([codes & 15, codes >> 4], axis=-1).reshape(len(weight), -1).view(np.int8) - np.int8(8)
        if group is None or ((group < 1) | (group > _LARGEST_MULTIPLIER)).any():
            raise ValueError(f"a multiplier is not 1 to {_LARGEST_MULTIPLIER}")
        if (numbers == -8).any():
            raise ValueError("a 4-bit code is 0, which stands for nothing")
        numbers = numbers * group.repeat(GROUP, axis=1)
    else:
        quarters = (weight.view(np.uint8)[..., None] >> np.arange(0, 8, 2, dtype=np.uint8)) & np.uint8(3)
        if (quarters == 3).any():
            raise ValueError("a 2-bit code is 3, which stands for nothing")
        numbers = quarters.reshape(len(weight), -1).view(np.int8) - np.int8(1)
    return numbers


def check_columns(columns: int, bits: int) -> None:
    """Raise `ValueError` if a row of so many columns cannot be packed."""
    unit = GROUP if bits == 4 else PACKED[bits]
    if columns % unit:
        raise ValueError(f"its {columns} columns are no multiple of {unit}, as {bits}-bit weights need")


def _normal(scale: Floats) -> Floats:
    return np.where(scale < _SMALLEST, np.float32(0), scale).astype(np.float32)


def _round(matrix: Floats, steps: Floats, largest: int) -> Int8:
    """matrix / steps, rounded and cut to the largest; zeros where the step is zero."""
    quotient = np.divide(matrix, steps, out=np.zeros_like(matrix), where=steps > 0)
    return np.clip(np.rint(quotient), -largest, largest).astype(np.int8)


def _quantize_4_bits(matrix: Floats, largest: Floats) -> Quantized:
    """Try row scales, and for each several multipliers per group; keep what has the smallest squared error."""
    rows, columns = matrix.shape
    groups = matrix.reshape(rows, -1, GROUP)
    wanted = np.abs(groups).max(axis=2) / np.float32(7)  # the step at which nothing is cut off
    best_scale = np.zeros(rows, np.float32)
    best_group = np.ones(groups.shape[:2], np.int8)
    best_error = np.full(rows, np.inf, np.float32)
    for part in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0):
        scale = _normal(largest / np.float32(7 * _LARGEST_MULTIPLIER) * np.float32(part))
        ideal = np.divide(wanted, scale[:, None], out=np.ones_like(wanted), where=scale[:, None] > 0)
        multiplier = np.ones(groups.shape[:2], np.float32)
        error = np.full(groups.shape[:2], np.inf, np.float32)
        for cut in (0.7, 0.8, 0.9, 1.0):
            tried = np.clip(np.rint(ideal * np.float32(cut)), 1, _LARGEST_MULTIPLIER)
            steps = (scale[:, None] * tried)[..., None]
            made = np.square(_round(groups, steps, 7) * steps - groups).sum(axis=2)
            multiplier = np.where(made < error, tried, multiplier)
            error = np.minimum(made, error)
        total = error.sum(axis=1)
        better = total < best_error
        best_scale[better], best_error[better] = scale[better], total[better]
        best_group[better] = multiplier[better].astype(np.int8)
    numbers = _round(groups, (best_scale[:, None] * best_group)[..., None], 7).reshape(rows, columns)
    codes = (numbers + 8).astype(np.uint8)
    return Quantized(best_scale, (codes[:, 0::2] | codes[:, 1::2] << 4).view(np.int8), best_group)


def _pack_2_bits(signs: Int8) -> Int8:
    codes = (signs + 1).astype(np.uint8).reshape(len(signs), -1, 4)
    return (codes << np.arange(0, 8, 2, dtype=np.uint8)).sum(axis=2, dtype=np.uint8).view(np.int8)
