#!/bin/bash
# Images whose reference counts are wrong: a detach cuts off nothing that was there before; metadata
# whose count is 0 is refused for writing, by name, with nothing changed, and qcowctl check -r all
# repairs that; a table whose count the COPIED flag does not tell of is no corruption; counts of
# clusters that no host offset reaches do no harm.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

# refused IMAGE REGEX: with the hint, unchanged; then the hint is followed
refused() {
	rm -rf kept
	keep "$1"
	assert_refused 4 "$2" qcowctl attach "$1"
	assert_refused 4 "try: .*qcowctl check -r all $1\$" qcowctl attach "$1"
	assert_unchanged
	dev=$(attach -r "$1")
	cmp "$dev" raw
	detach "$dev"
	assert qcowctl check -q -r all "$1"
	dev=$(attach "$1")
	dd if=/dev/zero of="$dev" bs=64K count=1 seek=40 oflag=direct conv=notrunc status=none
	cmp -n 2M "$dev" raw
	detach "$dev"
	assert_clean "$1"
}

qemu-img create -q -f qcow2 good 8M
image_io qcow2 good "write -q -P 7 0 1M" "write -q -P 9 1M 64K"
qemu-img convert -O raw good raw

echo "the last data cluster is not counted; a write elsewhere"
cp good image
counts image set "$(counts image l2 16)" 0
length=$(stat -c %s image)
dev=$(attach image)
dd if=/dev/zero of="$dev" bs=4K count=1 oflag=direct conv=notrunc status=none
detach "$dev"
assert_eq "$(stat -c %s image)" "$length" "length"
image_io qcow2 image "read -P 9 1M 64K"
# it is noticed when it is freed: nothing is written from then on
dev=$(attach image)
blkdiscard -o 1M -l 64K "$dev"
sync "$dev"
is_corrupt() { dmesg | tail -n 20 | grep -q "${dev#/dev/}: the image is corrupt"; }
wait_for 10 is_corrupt
detach "$dev"
assert_eq "$(stat -c %s image)" "$length" "length after a discard"
qemu-img check -q -r all image || true
assert_clean image

echo "all counts are 0"
cp good image
counts image fill 0
refused image "header.*reference count is 0"

echo "one count is 0"
for what in "L1 table" "L2 table" "refcount table" "refcount block"; do
	cp good image
	case $what in
	L1*) at=$(peek image 40 8) ;;
	L2*) at=$(counts image l1 0) ;;
	*table) at=$(peek image 48 8) ;;
	*) at=$(peek image "$(peek image 48 8)" 8) ;;
	esac
	counts image set "$at" 0
	refused image "$what at 0x$(printf '%x' "$at"): its reference count is 0"
done

echo "no COPIED flag in an L1 entry, and a count of 1"
qemu-img create -q -f qcow2 -o cluster_size=4K image 32M
image_io qcow2 image "write -q -P 7 0 1M"
counts image l1-alone 0
dev=$(attach image)
fill data 2M
dd if=data of="$dev" bs=4K count=1 oflag=direct conv=notrunc,fsync status=none
# the cluster of the old table is used again
for i in {1..5}; do
	dd if=data of="$dev" bs=2M seek=$((i * 3)) oflag=direct conv=notrunc,fsync status=none
done
detach "$dev"
assert_clean image
assert_eq "$((($(peek image 72 8) >> 1) & 1))" 0 "the corrupt bit"

echo "clusters that no host offset reaches"
qemu-img create -q -f qcow2 -o cluster_size=2M,refcount_bits=1 image 1G
image_io qcow2 image "write -q -P 0x11 0 8M"
python - <<'P'
import os
import struct

CLUSTER = 2 << 20
file = open("image", "r+b")
end = -(-os.path.getsize("image") // CLUSTER)
file.seek(48)
file.seek(struct.unpack(">Q", file.read(8))[0])
first, = struct.unpack(">Q", file.read(8))
# nothing is free among the first 131,072 clusters; cluster 1 << 43 and some are in use
file.seek(first)
file.write(b"\xff" * 16384)
table = bytearray(4 * CLUSTER)
table[:8] = struct.pack(">Q", first)
table[8 << 19:(8 << 19) + 8] = struct.pack(">Q", (end + 4) * CLUSTER)
file.seek(end * CLUSTER)
file.write(table)
block = bytearray(CLUSTER)
block[0] = 1 << 4
file.write(block)
file.seek(48)
file.write(struct.pack(">QI", end * CLUSTER, 4))
P
dev=$(attach image)
dd if=/dev/urandom of=data bs=2M count=1 status=none
dd if=data of="$dev" bs=2M seek=100 oflag=direct conv=notrunc,fsync status=none
dd if="$dev" bs=2M skip=100 count=1 iflag=direct status=none | cmp - data
detach "$dev"
image_io qcow2 image "read -P 0x11 0 8M"
[[ $(stat -c %b image) -lt $((1 << 17)) ]] || fail "the image takes $(stat -c %b image) blocks"
