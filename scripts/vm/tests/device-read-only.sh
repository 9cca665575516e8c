#!/bin/bash
# No write gets through to a read-only device or its image: not by a program,
# not by discard or zeroing, not by taking the flag away.
# kernels: 6.12 6.1
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 4M
image_io qcow2 image "write -P 5 0 1M"
raw_of image
keep image
dev=$(attach -r image)

# untouched HOW: nothing can be written
untouched() {
	assert_eq "$(blockdev --getro "$dev")" 1 "read-only flag $1"
	assert_fails . dd if=/dev/zero of="$dev" bs=4K count=1 conv=fsync
	assert_fails . dd if=/dev/zero of="$dev" bs=4K count=1 oflag=direct
	assert_fails . blkdiscard "$dev"
	assert_fails . blkdiscard -z "$dev"
	assert_fails . blkdiscard -s "$dev"
	assert_fails . mkfs.ext4 -q -F "$dev"
	cmp "$dev" image.raw
}

untouched "as attached"
blockdev --setrw "$dev" || true
untouched "after blockdev --setrw"
detach "$dev"
assert_unchanged
