# SPDX-License-Identifier: GPL-2.0
"""journal.py JOURNAL BEFORE IMAGE SEED NUMBER: what a power cut leaves of the writes that
journal.c has recorded: all before some sync, and of those after it any sectors. IMAGE is made
from BEFORE that many times, and the command on standard input is run for each; prints how many
there were, or ends with 1 when the command fails.

Without NUMBER: says how many syncs there are."""
import random
import shutil
import struct
import subprocess
import sys

SECTOR = 512


def read(name):
    """The records, between syncs."""
    epochs = [[]]
    with open(name, "rb") as f:
        while what := f.read(1):
            offset, length = struct.unpack("=QQ", f.read(16))
            data = f.read(length) if what == b"w" else b""
            if what == b"s":
                epochs.append([])
            else:
                epochs[-1].append((what, offset, length, data))
    return epochs


def apply(f, op, keep):
    """One record; of a write only the sectors that keep() wants."""
    what, offset, length, data = op
    if what == b"t":
        if keep():
            f.truncate(offset)
        return
    if what == b"p":
        f.seek(0, 2)
        end = min(f.tell(), offset + length)
        data = bytes(max(0, end - offset))
    at = 0
    while at < len(data):
        # at borders of sectors of the file
        part = SECTOR - (offset + at) % SECTOR
        if keep():
            f.seek(offset + at)
            f.write(data[at : at + part])
        at += part


def main():
    journal, before, image, seed, number = sys.argv[1:]
    command = sys.stdin.read()
    rng = random.Random(int(seed))
    epochs = read(journal)
    if len(epochs) < 2:
        sys.exit("no sync")
    done = 0
    for epoch, ops in enumerate(epochs):
        # nothing of it, all of it, a part of every size
        for turn in range(int(number)):
            share = turn / (int(number) - 1)
            shutil.copyfile(before, image)
            with open(image, "r+b") as f:
                for earlier in epochs[:epoch]:
                    for op in earlier:
                        apply(f, op, lambda: True)
                for op in ops:
                    apply(f, op, lambda: rng.random() < share)
            done += 1
            if subprocess.run(["bash", "-c", command]).returncode:
                sys.exit(f"after sync {epoch}, a share of {share:.2f}")
    print(done)


if __name__ == "__main__":
    main()
