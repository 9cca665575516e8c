#!/bin/bash
# detach takes devices, images by any name, and --all.
# kernels: 6.12 6.1
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 1M
qemu-img create -q -f qcow2 other 1M
ln image hard
ln -s image soft

attach -r image >/dev/null
detach "$PWD/image"
attach -r image >/dev/null
detach hard
attach -r image >/dev/null
detach soft
assert_eq "$(qcowctl list)" '' list

# attached twice: both go
attach -r image >/dev/null
attach -r image >/dev/null
attach -r other >/dev/null
detach image
assert_eq "$(qcowctl list -n --raw -o IMAGE)" "$PWD/other" list
assert_status 9 qcowctl detach image
assert_status 9 qcowctl detach qcow5
assert_status 9 qcowctl detach /dev/ram0

attach -r image >/dev/null
qcowctl detach --all
assert_eq "$(qcowctl list)" '' list
qcowctl detach --all

# an image that lies on a block device
qemu-img convert -O qcow2 image on-disk
dd if=on-disk of=/dev/ram1 bs=64K conv=fsync status=none
dev=$(attach -r /dev/ram1)
assert_eq "$(qcowctl list -n --raw -o STORE)" bdev store
detach /dev/ram1
[[ ! -e $dev ]] || fail "$dev is still there"
