#!/bin/bash
# Random reads all over 1 TiB, every cluster of it mapped, with 1 MiB of cache: a miss is one
# read of 4 KiB below, memory stays within the limit at every moment and is given back, and
# holes cost nothing. (GROWTH_READS in the environment: how many reads; 1000000 take four
# minutes.)
# kernels: 6.12
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
reads=${GROWTH_READS:-50000}
modprobe null_blk
below=/dev/growth
ram_disk growth $(((1 << 20) + 1024))
qemu-img create -q -f qcow2 image 2T
cat image >$below
# The clusters of the first TiB follow each other, from 1 GiB on; some have a mark. The second
# TiB is one hole.
python - $below "$(peek image 40 8)" "$SEED" <<'PY'
import os
import random
import struct
import sys

CLUSTER, TABLES, TABLES_AT, DATA_AT = 1 << 16, 2048, 1 << 28, 1 << 30
SPAN = CLUSTER // 8 * CLUSTER
COPIED = 1 << 63
rng = random.Random(int(sys.argv[3]))
fd = os.open(sys.argv[1], os.O_RDWR)


def entries(first, step, count):
    return b"".join(struct.pack(">Q", COPIED | first + step * i) for i in range(count))


os.pwrite(fd, entries(TABLES_AT, CLUSTER, TABLES), int(sys.argv[2]))
# two tables at a distance of 4 GiB differ in the upper four bytes of their entries alone
low = [bytearray(entries(DATA_AT + SPAN * i, CLUSTER, CLUSTER // 8)) for i in range(8)]
for i in range(TABLES):
    table = low[i % 8]
    for byte, value in enumerate((COPIED | DATA_AT + SPAN * i).to_bytes(8, "big")[:4]):
        table[byte::8] = bytes([value]) * (CLUSTER // 8)
    os.pwrite(fd, table, TABLES_AT + CLUSTER * i)
with open("marks", "w") as f:
    for _ in range(60):
        at = rng.randrange(1 << 31) * 512
        os.pwrite(fd, at.to_bytes(8, "big") * 64, DATA_AT + at)
        print(at, file=f)
os.fsync(fd)
PY

# count_below: in $asked and $sectors, what was asked of the disk below since it was last called
last=(0 0)
count_below() {
	local stat
	read -r -a stat <"/sys/block/${below#/dev/}/stat"
	# requests, and bios that were joined to one
	asked=$((stat[0] + stat[1] - last[0])) sectors=$((stat[2] - last[1]))
	last=($((stat[0] + stat[1])) "${stat[2]}")
}

# slab_bytes: of the cache, without what SLUB keeps for later
slab_bytes() {
	local slab
	for slab in /sys/kernel/slab/qcow_slice*/shrink; do echo 1 >"$slab"; done
	awk '/^qcow_slice/ { bytes += $3 * $4 } END { print bytes + 0 }' /proc/slabinfo
}

# random_reads COUNT OFFSET: of 4 KiB in the TiB there
random_reads() {
	fio --name=reads --filename="$dev" --rw=randread --bs=4k --iodepth=32 --direct=1 \
		--ioengine=libaio --readonly --norandommap --randseed="$SEED" \
		--offset="$2" --size=1t --number_ios="$1" --io_size=100t --output=fio.log ||
		fail "fio: $(<fio.log)"
}

# watch PID: until it ends. Prints how often it looked, and the most that there was then of
# the cache, and of its slabs with what is free in them
watch() {
	python - "/sys/block/${dev#/dev/}/qcow/cache_used" "$1" <<'PY'
import os
import sys
import time

used = os.open(sys.argv[1], os.O_RDONLY)
slabs = os.open("/proc/slabinfo", os.O_RDONLY)
looks = most = most_slabs = 0
while os.path.exists(f"/proc/{sys.argv[2]}"):
    for _ in range(20):
        most = max(most, int(os.pread(used, 32, 0)))
        looks += 1
        time.sleep(0.0005)
    fields = [line.split() for line in os.pread(slabs, 1 << 20, 0).decode().splitlines()
              if line.startswith("qcow_slice")]
    most_slabs = max(most_slabs, sum(int(f[2]) * int(f[3]) for f in fields))
print(looks, most, most_slabs)
PY
}

dev=$(attach -r --no-partscan --cache-size 1M $below)
limit=$(attr "$dev" cache_limit)
assert_eq "$limit" 1048576 limit
# one slice that is never used for the cache
least=$(slab_bytes)
[[ $least -gt 0 && $least -le 65536 ]] || fail "$least bytes of slabs without any cache"

python - "$dev" <<'PY'
import os
import sys

fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
with open("marks") as f:
    for at in map(int, f):
        assert os.pread(fd, 512, at) == at.to_bytes(8, "big") * 64, f"at {at}"
PY

before=$(attr "$dev" cache_misses)
count_below
random_reads "$reads" 0 &
fio=$!
read -r looks most most_slabs < <(watch "$fio")
wait "$fio"
count_below
misses=$(($(attr "$dev" cache_misses) - before))
echo "$reads reads, $misses misses: $asked reads and $sectors sectors below"
echo "$most bytes of cache and $most_slabs of slabs at most in $looks looks"
[[ $misses -gt $((reads * 9 / 10)) && $misses -le $reads ]] || fail "no test of misses"
# besides the data, 4 KiB for each miss; a few that seemed to go forward were read together
assert_eq "$sectors" "$(((reads + misses) * 8))" sectors
[[ $asked -le $((reads + misses)) ]] || fail "$asked reads"
[[ $looks -gt 100 && $most -gt $((limit / 2)) && $most -le $limit ]] ||
	fail "$most bytes in $looks looks, the limit is $limit"
# SLUB keeps slabs in which something is free, some for each CPU
[[ $most_slabs -le $((limit + 512 * 1024)) ]] || fail "$most_slabs bytes of slabs"

echo 2 >/proc/sys/vm/drop_caches
empty() { [[ $(attr "$dev" cache_used) -eq 0 ]]; }
wait_for 20 empty
assert_eq "$(slab_bytes)" "$least" "bytes of slabs when the cache was taken back"

count_below
before=$(attr "$dev" cache_misses)
random_reads 20000 1t
count_below
assert_eq "$asked $sectors" "0 0" "reads and sectors for a hole"
assert_eq "$(attr "$dev" cache_misses) $(attr "$dev" cache_used)" "$before 0" \
	"misses and cache after reads of a hole"

random_reads 2000 0
[[ $(attr "$dev" cache_used) -gt $((limit / 2)) ]] || fail "nothing is cached"
detach "$dev"
assert_eq "$(slab_bytes)" 0 "bytes of slabs after detach"
ram_disk growth 1
