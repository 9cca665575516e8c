# SPDX-License-Identifier: GPL-2.0
"""fault.py FAULT IMAGE: damage an image in one way.

Knows versions 2 and 3; the guest's cluster 0 has to be allocated for most of them."""
import os
import struct
import sys

COPIED = 1 << 63
OFFSET = 0x00FFFFFFFFFFFE00


class Image:
    """Just enough of the format to find an entry."""

    def __init__(self, name):
        self.file = open(name, "r+b")
        head = self.read(0, 112)
        self.version, self.bits = struct.unpack(">I12xI", head[4:24])
        self.l1_entries, self.l1, self.table, self.table_clusters = struct.unpack(
            ">IQQI", head[36:60]
        )
        self.order = struct.unpack(">I", head[96:100])[0] if self.version > 2 else 4
        self.incompatible = (
            struct.unpack(">Q", head[72:80])[0] if self.version > 2 else 0
        )
        self.cluster = 1 << self.bits
        self.words = 2 if self.incompatible & 16 else 1
        self.bytes = os.fstat(self.file.fileno()).st_size

    def read(self, at, length):
        self.file.seek(at)
        return self.file.read(length)

    def write(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def get(self, at):
        return struct.unpack(">Q", self.read(at, 8))[0]

    def put(self, at, value):
        self.write(at, struct.pack(">Q", value))

    def l2_at(self, index=0):
        """Place of an entry of the first L2 table."""
        return (self.get(self.l1) & OFFSET) + index * 8 * self.words

    def block_of(self, cluster):
        """Place of the table's entry and of the block that count a cluster."""
        per_block = self.cluster * 8 >> self.order
        at = self.table + cluster // per_block * 8
        return at, self.get(at) & OFFSET, cluster % per_block

    def count(self, cluster, value=None):
        """One reference count; sets it when there is a value."""
        _, block, index = self.block_of(cluster)
        width = 1 << self.order
        if width >= 8:
            at = block + index * width // 8
            if value is not None:
                self.write(at, value.to_bytes(width // 8, "big"))
            return int.from_bytes(self.read(at, width // 8), "big")
        at, shift = block + index * width // 8, index * width % 8
        byte = self.read(at, 1)[0]
        if value is not None:
            byte = byte & ~(((1 << width) - 1) << shift) | value << shift
            self.write(at, bytes([byte]))
        return byte >> shift & ((1 << width) - 1)

    def data(self, index=0):
        """Cluster that an entry of the first L2 table points to."""
        return (self.get(self.l2_at(index)) & OFFSET) >> self.bits

    def free_cluster(self):
        """A new cluster at the end that nothing refers to, with a count of 0."""
        cluster = -(-self.bytes // self.cluster)
        self.bytes = (cluster + 1) * self.cluster
        self.file.truncate(self.bytes)
        return cluster


def flip(im, at, bits):
    im.put(at, im.get(at) ^ bits)


def shared_count(im):
    """2 where the width has it; a count that is wrong for one reference."""
    return 2 if im.order else 0


def beyond(im):
    """A cluster border well behind the end of the file."""
    return (im.bytes // im.cluster + 8) * im.cluster


def drop(im):
    """The guest's first cluster is not there any more."""
    im.put(im.l2_at(), 0)
    if im.words == 2:
        im.put(im.l2_at() + 8, 0)


def again(im):
    """Its second cluster is the first."""
    im.put(im.l2_at(1), im.get(im.l2_at()))


def zero_unaligned(im):
    """Zeros with a preallocated cluster where none can be."""
    im.put(im.l2_at(), im.get(im.l2_at()) | 512 | (im.words == 1))
    if im.words == 2:
        im.put(im.l2_at() + 8, 0xFFFFFFFF << 32)


def bits(im, value):
    im.put(72, im.incompatible | value)


FAULTS = {
    "leak": lambda im: im.count(im.free_cluster(), 1),
    "leak-cluster": drop,
    "leak-table": lambda im: im.put(im.l1, 0),
    "leak-count": lambda im: im.count(im.data(), shared_count(im)),
    "low-data": lambda im: im.count(im.data(), 0),
    "low-l2": lambda im: im.count(im.l2_at() >> im.bits, 0),
    "low-header": lambda im: im.count(0, 0),
    "low-l1": lambda im: im.count(im.l1 >> im.bits, 0),
    "low-table": lambda im: im.count(im.table >> im.bits, 0),
    "low-block": lambda im: im.count(im.block_of(0)[1] >> im.bits, 0),
    "copied-clear-l2": lambda im: flip(im, im.l2_at(), COPIED),
    "copied-clear-l1": lambda im: flip(im, im.l1, COPIED),
    "copied-set": lambda im: (again(im), im.count(im.data(), 2 if im.order else 1)),
    "double": again,
    "double-l2": lambda im: im.put(im.l1 + 8, im.get(im.l1)),
    "over-l2": lambda im: im.put(im.l2_at(), im.l2_at() | COPIED),
    "over-l1": lambda im: im.put(im.l2_at(), im.l1 | COPIED),
    "over-header": lambda im: im.put(im.l1, COPIED),
    "over-table": lambda im: im.put(im.l2_at(1), im.table | COPIED),
    "over-block": lambda im: im.put(im.l2_at(1), im.block_of(0)[1] | COPIED),
    "beyond-l2": lambda im: im.put(im.l2_at(), beyond(im) | COPIED),
    "beyond-l1": lambda im: im.put(im.l1, beyond(im) | COPIED),
    "reserved-l2": lambda im: flip(im, im.l2_at(), 1 << 57),
    "reserved-l1": lambda im: flip(im, im.l1, 1 << 57),
    "reserved-table": lambda im: flip(im, im.table, 1),
    "unaligned-l2": lambda im: flip(im, im.l2_at(), 512),
    "unaligned-zero": zero_unaligned,
    "block-beyond": lambda im: im.put(im.table, beyond(im)),
    "block-unaligned": lambda im: flip(im, im.table, 512),
    "block-over-l1": lambda im: im.put(im.table, im.l1),
    "block-missing": lambda im: im.put(im.table, 0),
    "table-beyond": lambda im: im.put(48, beyond(im)),
    "table-over-l1": lambda im: im.put(48, im.l1),
    "table-over-header": lambda im: im.put(48, 0),
    "table-unaligned": lambda im: flip(im, 48, 512),
    "table-none": lambda im: im.write(56, struct.pack(">I", 0)),
    "dirty": lambda im: (bits(im, 1), im.count(im.data(), 0)),
    "corrupt-bit": lambda im: bits(im, 2),
    "both-bits": lambda im: bits(im, 3),
}


def main():
    if sys.argv[1:] == ["--list"]:
        print(*FAULTS)
        return
    fault, name = sys.argv[1:]
    FAULTS[fault](Image(name))


if __name__ == "__main__":
    main()
