#!/bin/bash
# The L2 cache stays within its limit while many more tables are read than it
# holds, by several readers, and what they read is right.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
size=$((1 << 40))
count=200 apart=$((size / 4096 / 200))
# 2048 L2 tables, of which so many are there
qemu-img create -q -f qcow2 image "$size"
writes=()
for ((i = 0; i < count; i++)); do
	random "$apart"
	at=$(((R + apart * i) * 4096))
	writes+=("write -P $((i % 255 + 1)) $at 4096")
	echo "$at $((i % 255 + 1))" >>expected
done
image_io qcow2 image "${writes[@]}"
dev=$(attach -r --no-partscan --cache-size 64K image)
limit=$(attr "$dev" cache_limit)
assert_eq "$limit" 65536 limit

cat >reader <<'PY'
import mmap
import os
import sys
from _random import Random

dev, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open("expected") as f:
    places = [tuple(map(int, line.split())) for line in f]
random = Random(seed)
fd = os.open(dev, os.O_RDONLY | os.O_DIRECT)
memory = mmap.mmap(-1, 16384)
for _ in range(rounds):
    at, byte = places[int(random.random() * len(places))]
    start = max(at - int(random.random() * 8) * 512, 0)
    done = os.preadv(fd, [memoryview(memory)[:8192]], start)
    assert done == 8192, done
    want = bytes(at - start) + bytes([byte]) * 4096
    got = memory[:len(want)]
    if got != want:
        sys.exit(f"seed {seed}: {dev} at {start} differs")
PY
readers=()
for number in 1 2 3; do
	python3 -IS reader "$dev" $((SEED + number)) 700 &
	readers+=($!)
done
most=0 looks=0
while [[ -n $(jobs -rp) ]]; do
	for ((i = 0; i < 50; i++)); do
		read -r used <"/sys/block/${dev#/dev/}/qcow/cache_used"
		[[ $used -le $most ]] || most=$used
		looks=$((looks + 1))
	done
done
for reader in "${readers[@]}"; do
	wait "$reader" || fail "a reader failed"
done
echo "$most bytes at most in $looks looks, $(attr "$dev" cache_misses) misses," \
	"$(attr "$dev" cache_evictions) evictions"
[[ $most -gt 0 && $most -le $limit ]] || fail "$most bytes, the limit is $limit"
[[ $(attr "$dev" cache_evictions) -gt 20 && $(attr "$dev" cache_misses) -gt 500 ]] ||
	fail "no test of the limit"
detach "$dev"
