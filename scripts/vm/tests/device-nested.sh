#!/bin/bash
# An image on a device of the driver, and one on a file system that is mounted
# from such a device, attach and read as any other; the device below is busy.
# kernels: 6.12 debug
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=4K inner 4M
random_writes $((3 << 20)) 4096 noise text pattern zero unmap compressed
# and a stretch whose every read is one extent in each of them
image_io qcow2 inner "write -s noise1 3M 1M" "${WRITES[@]}"
raw_of inner

# three images, one in the other
qemu-img convert -f raw -O qcow2 inner middle
qemu-img convert -f raw -O qcow2 -o extended_l2=on middle outer
one=$(attach -r outer)
two=$(attach -r "$one")
three=$(attach -r "$two")
assert_attr "$three" store bdev
# from the second time on nothing waits for tables: reads go down all the way
# from the submitter's own context
for _ in 1 2 3; do
	echo 3 >/proc/sys/vm/drop_caches
	assert_same_reads "$three" inner.raw
done
assert_status 6 qcowctl detach "$one"
assert_status 6 qcowctl detach "$two"
detach "$three"
detach "$two"
detach "$one"

truncate -s 32M disk
mkfs.ext4 -q disk
mkdir mnt
loop=$(losetup -f --show disk)
mount "$loop" mnt
cp inner mnt
umount mnt
losetup -d "$loop"
qemu-img convert -f raw -O qcow2 disk disk.qcow2
one=$(attach -r disk.qcow2)
mount -o ro "$one" mnt
two=$(attach -r mnt/inner)
assert_attr "$two" direct_io 1
assert_same_reads "$two" inner.raw
assert_fails . umount mnt
detach "$two"
assert umount mnt
detach "$one"
