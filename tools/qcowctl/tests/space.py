# SPDX-License-Identifier: GPL-2.0
"""space.py IMAGE: how many clusters of an image of version 2 or 3 have a count, and how many the
file has, as two numbers; a third one: refcount blocks and clusters of the refcount table."""
import os
import struct
import sys


def count(block, bits, index):
    if bits >= 8:
        size = bits // 8
        return int.from_bytes(block[index * size : (index + 1) * size], "big")
    return block[index * bits // 8] >> index * bits % 8 & (1 << bits) - 1


def main():
    with open(sys.argv[1], "rb") as f:
        head = f.read(112)
        version, cluster_bits = struct.unpack(">4xI12xI", head[:24])
        table_at, table_clusters = struct.unpack(">QI", head[48:60])
        bits = 16 if version == 2 else 1 << struct.unpack(">I", head[96:100])[0]
        cluster = 1 << cluster_bits
        f.seek(table_at)
        table = f.read(table_clusters * cluster)
        used = 0
        blocks = [b for (b,) in struct.iter_unpack(">Q", table) if b]
        for at in blocks:
            f.seek(at)
            block = f.read(cluster)
            if any(block):
                used += sum(1 for i in range(cluster * 8 // bits) if count(block, bits, i))
        end = os.fstat(f.fileno()).st_size
    print(used, -(-end // cluster), len(blocks) + table_clusters)


main()
