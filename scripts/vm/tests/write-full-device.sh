#!/bin/bash
# On a block device, which cannot grow, a write fails with ENOSPC only when all is used: free
# clusters are found wherever they are, and those that were discarded a moment ago, too, without
# a flush; then it fails at once.
# kernels: 6.12
# cpus: 2
# timeout: 150
. "$QCOW_ROOT/scripts/vm/lib.sh"

# on_device BYTES: the image, on a block device of that length
on_device() {
	truncate -s "$1" image
	loop=$(losetup -f --show image)
}

# off_device: detached, with nothing wrong
off_device() {
	detach "$dev"
	losetup -d "$loop"
	assert_clean image
}

random_seed
# one free MiB that counts of many slices are in front of
qemu-img create -q -f qcow2 -o cluster_size=512 image 16M
image_io qcow2 image "write -q -P 7 0 15M" "discard -q 10M 1M"
on_device "$(stat -c %s image)"
dev=$(attach "$loop")
for i in {0..39}; do
	dd if=/dev/zero of="$dev" bs=512 seek=$((20480 + i * 8)) count=1 oflag=direct conv=notrunc \
		status=none || fail "write $i, with a MiB free"
done
off_device
rm image

# with widths of counts: to the brim, discard, to the brim again
widths=(1 2 4 8 16 32 64)
one_in 3 widths
for bits in "${widths[@]}"; do
	qemu-img create -q -f qcow2 -o "cluster_size=512,refcount_bits=$bits" image 1536K
	on_device 768K
	dev=$(attach "$loop")
	python - "$dev" "$SEED" <<'P'
import errno
import fcntl
import mmap
import os
import random
import struct
import sys

BLKDISCARD = 0x1277
SIZE, CHUNK = 1536 << 10, 8 << 10
random.seed(int(sys.argv[2]))
fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
buf = mmap.mmap(-1, CHUNK)
buf[:] = b"x" * CHUNK


def write(pos, length):
    """Whether there was space for all of it."""
    try:
        return os.pwrite(fd, memoryview(buf)[:length], pos) == length
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def fill(places):
    """Write there until nothing fits. Return: where there is something now."""
    full = []
    for pos in places:
        if not write(pos, CHUNK):
            break
        full.append(pos)
    return full


places = list(range(0, SIZE, CHUNK))
random.shuffle(places)
full = fill(places)
first = len(full)
print(first, "chunks")
for nr in range(2):
    random.shuffle(full)
    gone, full = full[:30], full[30:]
    for pos in gone:
        fcntl.ioctl(fd, BLKDISCARD, struct.pack("QQ", pos, CHUNK))
    rest = [pos for pos in range(0, SIZE, CHUNK) if pos not in full]
    random.shuffle(rest)
    full += fill(rest)
    # tables of what is elsewhere now
    if len(full) < first - 8:
        sys.exit(f"round {nr}: {len(full)} chunks, not {first}")
# what is left: cluster by cluster, beside what is there
for pos in full:
    write(pos ^ CHUNK, 512)
P
	off_device
	left=$(counts image unused $((768 << 10)))
	[[ $left -le 2 ]] || fail "$bits bits: ENOSPC with $left clusters free"
	rm image
done
