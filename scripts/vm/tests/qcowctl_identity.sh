#!/bin/bash
# sysfs tells which file is attached as stat does, on any file system; detach and list find the
# device of an image by that, and look at no other image: one may be where nobody answers.
# kernels: 6.12 6.1
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

# id FILE: as stat has it
id() { stat -c '%Hd:%Ld:%i' "$1"; }

# same_id FILE: attached, it has that identity, and is found by it
same_id() {
	local dev
	dev=$(attach -r "$1")
	assert_eq "$(cat "/sys/block/${dev#/dev/}/qcow/image_id")" "$(id "$1")" "identity of $1"
	assert_eq "$(qcowctl list -n --raw -o NAME "$1")" "$dev" "device of $1"
	detach "$1"
	[[ ! -e $dev ]] || fail "$dev is still there"
}

qemu-img create -q -f qcow2 image 1M
qemu-img create -q -f qcow2 -o data_file=data.raw other 1M
same_id image

# file systems whose inodes do not know the number that stat tells
modprobe btrfs
modprobe overlay
modprobe loop
mkdir tree lower upper work merged memory
truncate -s 200M tree.img
mkfs.btrfs -q tree.img
mount -o loop tree.img tree
btrfs subvolume create tree/sub >/dev/null
cp image tree/sub/image
same_id tree/sub/image
mount -t tmpfs none memory
cp image memory/image
same_id memory/image
cp image lower/image
mount -t overlay -o "lowerdir=lower,upperdir=upper,workdir=work" none merged
same_id merged/image
cp image merged/new
same_id merged/new
umount tree memory merged

# a block device is itself, by whatever node it was opened
dd if=image of=/dev/ram1 bs=64K conv=fsync status=none
mknod node b 1 1
dev=$(attach -r node)
assert_eq "$(cat "/sys/block/${dev#/dev/}/qcow/image_id")" 1:1 "identity of a block device"
assert_eq "$(qcowctl list -n --raw -o NAME /dev/ram1)" "$dev" "device of a block device"
detach /dev/ram1

# the data file's, and several devices of one image
one=$(attach -r other)
two=$(attach -r other)
three=$(attach -r image)
assert_eq "$(qcowctl list -n --raw -o DATA-FILE-ID "$one")" "$(id data.raw)" "data file"
assert_eq "$(qcowctl list -n --raw -o DATA-FILE-ID "$three")" '' "no data file"
assert_eq "$(qcowctl list -n -o NAME other | paste -sd' ')" "$one $two" "devices of other"
assert_eq "$(qcowctl list -n -o NAME "$three" other | wc -l)" 3 "devices that are named"
assert_refused 9 'tree.img: no such device, and no attached image' qcowctl list tree.img
detach --all

# what is over the directory of another attached image does not answer
mkdir away
cp image away/image
dev=$(attach -r away/image)
attach -r image >/dev/null
mount_silent away
assert timeout 20 qcowctl list image >/dev/null
assert timeout 20 qcowctl detach image
assert_eq "$(timeout 20 qcowctl list -n --raw -o NAME)" "$dev" "what is left"
umount_silent away
detach away/image
