#!/bin/bash
# The only file system of an image is mounted, or that of the root partition; what mount options say
# of the image reaches it, also from fstab.
# kernels: 6.12
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/mount.sh"

modprobe vfat
root=4f68bce3-e8cd-4db1-96e7-fbcaf984b709
mkdir mnt
# parts IMAGE TYPE...: an image with a partition of 16 MiB for each, with ext4 and its number in it
parts() {
	local image=$1 dev number
	shift
	qcowctl create -q --force "$image" $(($# * 16 + 4))M
	dev=$(attach "$image")
	printf 'size=16M,type=%s\n' "$@" | sfdisk -q -X "${table:-gpt}" "$dev"
	wait_for 10 test -b "${dev}p$#"
	for ((number = 1; number <= $#; number++)); do
		mkfs.ext4 -q -L "part $number" "${dev}p$number"
		mount "${dev}p$number" mnt
		echo "$number" >mnt/data
		umount mnt
	done
	detach "$dev"
}
# mounts NUMBER ARGUMENT...: that partition is mounted
mounts() {
	qcowctl mount "${@:2}" mnt || fail "qcowctl mount ${*:2}"
	assert_eq "$(<mnt/data)" "$1" "qcowctl mount ${*:2}"
	umount mnt
}

parts image linux "$root" linux
mounts 2 image
mounts 2 --root image
mounts 3 -p 3 image
mounts 1 -o partition=1,noatime image
assert_refused 9 'image: has no partition 4' qcowctl mount -p 4 image mnt
parts image "$root" "$root"
assert_refused 9 "has 2 file systems, and which one is the root cannot be told.*partition 2: ext4, labelled part 2.*try: -p N" \
	qcowctl mount image mnt
parts image linux uefi
mounts 1 image
parts image uefi uefi
assert_refused 9 'which partition is the root' qcowctl mount --root image mnt
table=dos parts image 83 7
mounts 1 image
table=dos parts image 7
mounts 1 image
no_device "in the end"

echo "a partition that is not to be mounted unless it is asked for"
parts image linux linux
dev=$(attach image)
sfdisk -q --part-attrs "$dev" 1 GUID:63
detach "$dev"
mounts 2 image
mounts 1 -p 1 image

echo "fstab"
parts image linux "$root"
cp /etc/fstab fstab.old 2>/dev/null || :
echo "$PWD/image $PWD/mnt qcow2 rw,partition=1,nofail 0 0" >/etc/fstab
mount mnt
assert_eq "$(<mnt/data)" 1
mount -a
assert_eq "$(grep -c " $PWD/mnt " /proc/self/mounts)" 1 mounts
mount -o remount,ro mnt
assert_fails 'Read-only' touch mnt/more
umount mnt
mount -a
assert_eq "$(<mnt/data)" 1
umount mnt
no_device "in the end"

echo "a snapshot, a backing file, a key"
qcowctl snapshot -c one image
dev=$(attach image)
mount "${dev}p2" mnt
echo more >mnt/data
umount mnt
detach "$dev"
mounts more image
mounts 2 -o snapshot=one image
assert_fails 'read-only' qcowctl mount -o snapshot=one,qcow-compress=zlib image mnt
mkdir elsewhere
mv image elsewhere/base
qemu-img create -q -f qcow2 -u -b base -F qcow2 top 36M
mounts more -o backing=elsewhere/base top
printf 'open sesame' >'key,file'
qcowctl create -q -o encrypt.format=luks,encrypt.iter-time=10 --key-file 'key,file' crypt 32M
dev=$(attach --key-file 'key,file' crypt)
mkfs.ext4 -q "$dev"
mount "$dev" mnt
echo secret >mnt/data
umount mnt
detach "$dev"
mounts secret -o 'key-file="key,file"' crypt
mount -t qcow2 -o 'key-file="key,file"' crypt mnt
assert_eq "$(<mnt/data)" secret
umount mnt
no_device "in the end"
[[ ! -e fstab.old ]] || cp fstab.old /etc/fstab
