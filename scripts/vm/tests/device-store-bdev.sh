#!/bin/bash
# An image that was written to a block device is read from there, in bios of
# its own or, when direct I/O is not wanted, through the page cache.
# kernels: 6.12 6.1 debug 7.3
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=4K image 4M
random_writes 4194304 4096 noise text pattern zero unmap compressed
image_io qcow2 image "${WRITES[@]}"
raw_of image
dd if=image of=/dev/ram1 bs=64K conv=fsync status=none
cp image padded
truncate -s %64K padded
loop=$(losetup -f --show padded)

for below in /dev/ram1 "$loop"; do
	dev=$(attach -r "$below")
	assert_attr "$dev" store bdev
	assert_attr "$dev" direct_io 1
	assert_attr "$dev" image "$below"
	assert_same_reads "$dev" image.raw
	# what is attached is open
	[[ $below == /dev/ram1 ]] || assert_fails . blockdev --rereadpt "$below"
	detach "$below"

	dev=$(attach -r --direct-io off "$below" 2>said)
	[[ ! -s said ]] || fail "it said: $(cat said)"
	assert_attr "$dev" direct_io 0
	assert_same_reads -n 20 "$dev" image.raw
	detach "$dev"
done
losetup -d "$loop"
