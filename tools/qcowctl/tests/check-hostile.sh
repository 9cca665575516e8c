#!/bin/bash
# Random bytes in the metadata, and a file cut off anywhere, end in a status that check
# has, and repair of them too; what is repaired then is as clean as it was said to be.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
create qcow2 -o cluster_size=512 v3 1M
io v3 qcow2 'write 0 100K'
qemu-img snapshot -c one v3
qemu-img bitmap --add v3 two
io v3 qcow2 'write 20K 40K'
create qcow2 -o cluster_size=16K,extended_l2=on sub 1M
io sub qcow2 'write 1K 100K'
create qcow2 -o cluster_size=4K,refcount_bits=1 narrow 1M
io narrow qcow2 'write 0 300K'
create qcow2 -o compat=0.10,cluster_size=64K v2 1M
io v2 qcow2 'write 0 300K'
qemu-img convert -c -O qcow2 -o cluster_size=4K v2 packed
create qcow v1 1M
io v1 qcow 'write 0 100K'
create_v1_compressed v1 v1-packed
python3 - "$SEED" "$QCOWCTL" "${STEPS:-250}" <<'PY'
import random
import subprocess
import sys

seed, program, steps = sys.argv[1:]
rng = random.Random(int(seed))
fine = {0, 1, 2, 3, 63}
names = ("v3", "sub", "narrow", "v2", "packed", "v1", "v1-packed")
images = {name: open(name, "rb").read() for name in names}


def check(*options):
    done = subprocess.run(
        [program, "check", *options, "bent"], timeout=60, capture_output=True, check=False
    )
    if done.returncode not in fine or (done.returncode == 1 and not done.stderr):
        sys.exit(f"step {step} {name} {options}: {done.returncode} {done.stderr!r}")
    return done.returncode


def judge(data):
    """QEMU finds a repaired image clean and the guest's bytes as they were."""
    with open("before", "wb") as f:
        f.write(data)
    for command in (["check", "-q", "bent"], ["compare", "-q", "before", "bent"]):
        done = subprocess.run(["qemu-img", *command], capture_output=True, check=False)
        # What QEMU does not open for another field of the header is not judged.
        if done.returncode in (1, 2, 3) and b"Could not open" not in done.stderr:
            open("/tmp/bent","wb").write(data); sys.exit(f"step {step} {name} {command}: {done.returncode} {done.stderr!r}")


def bend(data):
    kind = rng.randrange(4)
    if kind == 0:
        del data[rng.randrange(len(data)) :]
        return
    where = rng.choice((112, 4096, len(data)))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(4, min(where, len(data)))
        if kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        else:
            # one table entry over another
            at &= ~7
            other = rng.randrange(0, len(data), 8)
            data[at : at + 8] = data[other : other + 8]


seen = []
wanted = {0, 2, 3}
# a few of the seeds take longer to come by one of each
for step in range(int(steps) * 8):
    if step >= int(steps) and wanted <= set(seen):
        break
    name = rng.choice(names)
    data = bytearray(images[name])
    bend(data)
    with open("bent", "wb") as f:
        f.write(data)
    before = check("--output", "json")
    seen.append(before)
    if open("bent", "rb").read() != data:
        sys.exit(f"step {step} {name}: a check changed the image")
    check(*rng.choice((["-q"], [])), "-r", "leaks")
    repaired = check("-r", "all")
    again = check()
    if again != repaired or (before in (0, 3) and again not in (0, 3)):
        sys.exit(f"step {step} {name}: {before}, {repaired} after repair, then {again}")
    if repaired == 0 and "v1" not in name:
        judge(data)
if not wanted <= set(seen):
    sys.exit(f"in {len(seen)} steps no image with status {wanted - set(seen)}")
PY
