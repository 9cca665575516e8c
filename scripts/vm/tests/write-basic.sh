#!/bin/bash
# What is written is read back, before and after a detach, by a file system too, and
# QEMU finds nothing wrong with the image.
# kernels: 6.12 6.1 7.3
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

fill data 2560K
mkdir mnt
for options in compat=1.1 compat=0.10 cluster_size=4K extended_l2=on; do
	qemu-img create -q -f qcow2 -o "$options" image 64M
	dev=$(attach image)
	dd if=data of="$dev" bs=64K oflag=direct status=none
	dd if=data of="$dev" bs=4K seek=5000 count=3 oflag=direct conv=fsync status=none
	assert cmp -n $((2560 << 10)) data "$dev"
	assert cmp -n 12288 data <(dd if="$dev" bs=4K skip=5000 count=3 iflag=direct status=none)
	mkfs.ext4 -q -F "$dev"
	mount "$dev" mnt
	cp data mnt/one
	cp data mnt/two
	rm mnt/one
	umount mnt
	assert e2fsck -fn "$dev"
	detach "$dev"
	assert qemu-img check image
	dev=$(attach -r image)
	assert e2fsck -fn "$dev"
	mount -o ro "$dev" mnt
	assert cmp data mnt/two
	umount mnt
	detach "$dev"
	rm image
done
