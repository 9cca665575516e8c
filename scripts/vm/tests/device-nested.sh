#!/bin/bash
# An image on a device of the driver, and one on a file system that is mounted
# from such a device, attach and read as any other; the device below is busy.
# kernels: 6.12
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=4K inner 4M
random_writes 4194304 4096 noise text pattern zero unmap compressed
image_io qcow2 inner "${WRITES[@]}"
raw_of inner

# three images, one in the other
qemu-img convert -f raw -O qcow2 -c inner middle
qemu-img convert -f raw -O qcow2 -o extended_l2=on middle outer
one=$(attach -r outer)
two=$(attach -r "$one")
three=$(attach -r "$two")
assert_attr "$three" store bdev
assert_same_reads "$three" inner.raw "$three" inner.raw
assert_status 6 qcowctl detach "$one"
assert_status 6 qcowctl detach "$two"
detach "$three"
detach "$two"
detach "$one"

truncate -s 32M disk
mkfs.ext4 -q disk
mkdir mnt
mount -o loop disk mnt
cp inner mnt
umount mnt
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
