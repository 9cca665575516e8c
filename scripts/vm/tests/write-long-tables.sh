#!/bin/bash
# Where a refcount block counts few clusters, what needs more of them in one piece gets them, and
# what does not need them in one piece does without: a window of a stream, a longer L1 table.
# The file does not grow by more than is used.
# kernels: 6.12 debug
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

# a stream; a block counts 64 clusters and is one of them
qemu-img create -q -f qcow2 -o cluster_size=512,refcount_bits=64 image 8M
fill data 1M
dev=$(attach image)
for at in 0 1 $(seq 64 61 1900); do
	dd if=data of="$dev" bs=512 skip="$at" seek="$at" count=60 oflag=direct conv=notrunc status=none
done
[[ $(stat -c %s image) -lt $((16 << 20)) ]] || fail "the file has $(stat -c %s image) bytes"
dd if=data of="$dev" bs=1M count=1 oflag=direct conv=notrunc status=none
detach "$dev"
assert_clean image
qemu-io -f qcow2 -r -c "read -q 0 1M" image
truncate -s 8M data
assert_image_is data image
rm image data

# an L1 table of one entry becomes one of 32,768, which is longer than many blocks count
for bits in 16 64; do
	qemu-img create -q -f qcow2 -o "cluster_size=512,refcount_bits=$bits" image 1G
	assert_eq "$(peek image 36 4)" 32768 "entries of the L1 table"
	poke image 36 00000001
	# the rest of it is leaked
	assert qcowctl check -q -r leaks image
	fill data 64K
	dev=$(attach image)
	dd if=data of="$dev" bs=64K seek=8000 oflag=direct conv=notrunc status=none
	dd if=data of="$dev" bs=64K seek=3 oflag=direct conv=notrunc,fsync status=none
	dd if="$dev" bs=64K skip=8000 count=1 iflag=direct status=none | cmp - data
	detach "$dev"
	assert_clean image
	assert_eq "$(peek image 36 4)" 32768 "entries of the longer table"
	[[ $(stat -c %s image) -lt $((2 << 20)) ]] || fail "the file has $(stat -c %s image) bytes"
	truncate -s 1G raw
	dd if=data of=raw bs=64K seek=8000 conv=notrunc status=none
	dd if=data of=raw bs=64K seek=3 conv=notrunc status=none
	assert_image_is raw image
	rm image raw
done
