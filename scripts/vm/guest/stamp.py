"""Bytes for tests that write: every sector says in its first 16 bytes where it belongs and
which write it is of, and does not compress in the others.
"""
import struct
from _random import Random
from array import array

SECTOR = 512
WORDS = SECTOR // 8
LONGEST = 1 << 20
POOL = LONGEST + (1 << 18)


class Stamps:
    def __init__(self, seed):
        self.pool = Random(seed).getrandbits(8 * POOL).to_bytes(POOL, "little")

    def make(self, first, count, number):
        """The write @number of @count sectors from sector @first."""
        start = number * 40504 % (POOL - LONGEST) & ~7
        data = bytearray(self.pool[start:start + count * SECTOR])
        words = memoryview(data).cast("Q")
        words[0::WORDS] = array("Q", range(first, first + count))
        words[1::WORDS] = array("Q", [number]) * count
        return data


def describe(sector):
    """What is in a sector, for a message."""
    if not any(sector):
        return "zeros"
    place, number = struct.unpack_from("<QQ", sector)
    return f"sector {place} of write {number >> 32}.{number & 0xffffffff} ({sector[:24].hex()})"


def explain(want, got, other=None):
    """How a sector is not what it should be."""
    at = next(i for i in range(SECTOR) if want[i] != got[i])
    also = f" or {describe(other)}" if other else ""
    return (f"expected {describe(want)}{also}, got {describe(got)}: byte {at} is "
            f"{got[at]:#04x}, not {want[at]:#04x}")


def first_difference(got, want):
    """(offset of the sector, got, wanted) where two equally long strings differ first."""
    step = 64 * SECTOR
    for block in range(0, len(want), step):
        if got[block:block + step] == want[block:block + step]:
            continue
        for at in range(block, min(block + step, len(want)), SECTOR):
            one, other = bytes(got[at:at + SECTOR]), bytes(want[at:at + SECTOR])
            if one != other:
                return at, one, other
    return None
