#!/bin/bash
# create -o nocow=on has btrfs overwrite a new image and its data file in place, as with qemu-img;
# another file system has nothing of the kind.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

modprobe btrfs
truncate -s 256M tree.img
mkfs.btrfs -q tree.img
mkdir tree
mount -o loop tree.img tree
trap 'umount tree' EXIT

# in_place FILE: whether it has the flag
in_place() { [[ $(lsattr "$1") == *C*\ * ]]; }
qemu-img create -q -f qcow2 -o nocow=on tree/want 1M
in_place tree/want || fail "not by qemu-img: $(lsattr tree/want)"
for format in qcow qcow2; do
	qcowctl create -f "$format" -o nocow=on tree/in-place 1M
	in_place tree/in-place || fail "$format: $(lsattr tree/in-place)"
	qcowctl create --force -f "$format" -o nocow=off tree/in-place 1M
	! in_place tree/in-place || fail "$format: not replaced: $(lsattr tree/in-place)"
	rm tree/in-place
done
qcowctl create -o nocow=on,data_file=data,preallocation=full tree/image 1M
in_place tree/image || fail "image: $(lsattr tree/image)"
in_place tree/data || fail "data file: $(lsattr tree/data)"
dev=$(attach tree/image)
dd if=/dev/urandom of="$dev" bs=64K count=4 oflag=direct conv=fsync status=none
detach "$dev"
(cd tree && qemu-img check -q image)
qcowctl create -o nocow=on image 1M
qemu-img check -q image
