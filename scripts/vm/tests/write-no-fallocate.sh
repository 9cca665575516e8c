#!/bin/bash
# Allocating writes all over an image whose L2 tables exist do not call fallocate for each
# slice that they change: file systems let all direct I/O end before they do that.
# kernels: 6.12
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

SLICES=512
tracing=/sys/kernel/tracing

# write_each BYTES FROM COUNT: a block to each of so many pieces of that size, in random order
write_each() {
	python - "$dev" "$SEED" "$@" <<'PYTHON'
import mmap
import os
import random
import sys

seed, size, start, count = map(int, sys.argv[2:])
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
block = mmap.mmap(-1, 4096)
block.write(b"\xa5" * 4096)
for nr in random.Random(seed).sample(range(count), count):
    os.pwrite(fd, block, start + nr * size)
os.fsync(fd)
PYTHON
}

mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing"
random_seed
qemu-img create -q -f qcow2 image $((SLICES * 32))M
dev=$(attach --no-partscan image)
# all tables, of 16 slices each
write_each $((512 << 20)) 0 $((SLICES / 16))
detach "$dev"

dev=$(attach --no-partscan image)
echo >"$tracing/trace"
echo 1 >"$tracing/events/ext4/ext4_fallocate_enter/enable"
write_each $((32 << 20)) $((1 << 20)) "$SLICES"
echo 0 >"$tracing/events/ext4/ext4_fallocate_enter/enable"
calls=$(grep -c ext4_fallocate_enter: "$tracing/trace" || true)
echo "$SLICES slices changed: $calls calls of fallocate"
# the file grows by 32 MiB for the data
[[ $calls -gt 0 ]] || fail "the file did not grow, or nothing was traced"
[[ $calls -le 32 ]] || fail "$calls calls of fallocate for $SLICES slices"
detach "$dev"
assert_clean image
