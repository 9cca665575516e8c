# SPDX-License-Identifier: GPL-2.0
"""journal.py JOURNAL BEFORE IMAGE SEED NUMBER: what a power cut leaves of the writes that
journal.c has recorded: all before some sync, and of those after it any sectors. IMAGE is made
from BEFORE that many times, and the command on standard input is run for each; prints how many
there were, or ends with 1 when the command fails.

Where BEFORE is a directory, IMAGE is one too: each file in BEFORE is made there, and a sync is
one of its own file. Those that the journal tells of are still there."""
import os
import random
import shutil
import struct
import subprocess
import sys

SECTOR = 512


def read(name, files):
    """For each sync: what was durable before it, and what was not yet."""
    durable, pending = [], []
    with open(name, "rb") as f:
        while what := f.read(1):
            inode, offset, length = struct.unpack("=QQQ", f.read(24))
            data = f.read(length) if what == b"w" else b""
            file = files[inode] if len(files) > 1 else next(iter(files.values()))
            if what != b"s":
                pending.append((file, what, offset, length, data))
                continue
            yield list(durable), list(pending)
            durable += [op for op in pending if op[0] == file]
            pending = [op for op in pending if op[0] != file]
    yield durable, pending


def apply(f, op, keep):
    """One record; of a write only the sectors that keep() wants."""
    _, what, offset, length, data = op
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
    copies = {image: before}
    if os.path.isdir(before):
        copies = {
            os.path.join(image, name): os.path.join(before, name)
            for name in sorted(os.listdir(before))
        }
    files = {os.stat(name).st_ino: name for name in copies}
    epochs = list(read(journal, files))
    if len(epochs) < 2:
        sys.exit("no sync")
    done = 0
    for epoch, (durable, pending) in enumerate(epochs):
        # nothing of it, all of it, a part of every size
        for turn in range(int(number)):
            share = turn / (int(number) - 1)
            for name, copy in copies.items():
                shutil.copyfile(copy, name)
                with open(name, "r+b") as f:
                    for op in durable:
                        if op[0] == name:
                            apply(f, op, lambda: True)
                    for op in pending:
                        if op[0] == name:
                            apply(f, op, lambda: rng.random() < share)
            done += 1
            if subprocess.run(["bash", "-c", command]).returncode:
                sys.exit(f"after sync {epoch}, a share of {share:.2f}")
    print(done)


if __name__ == "__main__":
    main()
