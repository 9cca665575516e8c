#!/bin/bash
# A guest's fsync does not wait until the clusters that a discard dropped are free: while many
# thousands are being freed, a small write and its fsync take less than a second.
# kernels: 6.12
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

MIB=128

used() { echo $(($(stat -c %b image) / 2048)); }
freed() { [[ $(used) -le $((full - MIB * 3 / 4)) ]]; }

# write_fsync: blocks of 4 KiB, each to a cluster of its own and durable before the next; the
# milliseconds that each took in a line, of some on the idle device, then of some after the discard
write_fsync() {
	python - "$dev" $((MIB << 20)) <<'PYTHON'
import fcntl
import mmap
import os
import sys
import time

BLKDISCARD = 0x1277
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
block = mmap.mmap(-1, 4096)


def latencies(start, count):
    for nr in range(count):
        began = time.monotonic()
        os.pwrite(fd, block, start + (nr << 16))
        os.fsync(fd)
        yield int(1000 * (time.monotonic() - began))


print(*latencies(900 << 20, 4))
length = int(sys.argv[2])
fcntl.ioctl(fd, BLKDISCARD, bytes(8) + length.to_bytes(8, "little"))
print(*latencies(950 << 20, 6))
PYTHON
}

random_seed
qemu-img create -q -f qcow2 -o cluster_size=4K image 1G
dev=$(attach --no-partscan image)
# clusters that follow each other in the guest lie anywhere in the image
fio --name=fill --filename="$dev" --rw=randwrite --bs=4k --ioengine=libaio --direct=1 \
	--iodepth=32 --size="${MIB}M" --randseed="$SEED" --fallocate=none --output=fio.log ||
	fail "fio: $(<fio.log)"
full=$(used)
{
	read -r -a idle
	read -r -a busy
	began=${EPOCHREALTIME/.}
} < <(write_fsync)
[[ ${#idle[@]} -eq 4 && ${#busy[@]} -eq 6 ]] || fail "no figures"
wait_for 60 freed
echo "write and fsync: ${idle[*]} ms when idle, ${busy[*]} ms after the discard of" \
	"$((MIB << 8)) clusters, the last freed $(((${EPOCHREALTIME/.} - began) / 1000)) ms later"
for ms in "${busy[@]}"; do
	[[ $ms -lt 1000 ]] || fail "an fsync waited $ms ms for clusters to be freed"
done
detach "$dev"
assert_clean image
