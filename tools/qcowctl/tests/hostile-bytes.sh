#!/bin/bash
# Random bytes in the metadata end in a message or a description; a change of bitmaps that succeeds
# leaves an image without corruptions.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

random_seed
create raw base.raw 1M
create qcow2 -o cluster_size=512 -b base.raw -F raw v3 1M
io v3 qcow2 'write 0 100K'
qemu-img snapshot -c one v3
qemu-img bitmap --add v3 one
qemu-img bitmap --add v3 two
io v3 qcow2 'write 20K 10K'
create qcow2 -o cluster_size=16K,extended_l2=on sub 1M
io sub qcow2 'write 1K 100K'
create qcow v1 1M
io v1 qcow 'write 0 100K'
python3 - "$SEED" "$QCOWCTL" <<'PY'
import random
import subprocess
import sys

seed, program = sys.argv[1:]
rng = random.Random(int(seed))
fine = {0, 3, 4, 5, 7, 9}
bitmaps = [["bitmap", *words] for words in (
    ["--remove"], ["--remove", "--add"], ["--disable"], ["--clear", "--merge", "one"])]
images = {name: open(name, "rb").read() for name in ("v3", "sub", "v1")}
for step in range(200):
    name = rng.choice(list(images))
    data = bytearray(images[name])
    where = rng.choice((112, 600, len(data)))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(4, where)
        data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    with open("bent", "wb") as f:
        f.write(data)
    for command in (["info"], ["info", "--output", "json"], ["map"],
                    ["info", "--dump", "--output", "json"], ["map", "--bitmap", "two"],
                    rng.choice(bitmaps)):
        changes = command in bitmaps
        argv = [program, *command, "bent"] + ["two"] * changes
        done = subprocess.run(argv, timeout=30, capture_output=True, check=False)
        # a granularity may be wrong for a size
        good = done.returncode in fine or (done.returncode == 1 and changes)
        if not good or (done.returncode and not done.stderr):
            sys.exit(f"step {step} {name} {command}: {done.returncode} {done.stderr!r}")
        if changes and not done.returncode:
            check = [program, "check", "-q", "bent"]
            if subprocess.run(check, check=False).returncode not in (0, 3):
                sys.exit(f"step {step} {name} {command}: corrupt")
PY
