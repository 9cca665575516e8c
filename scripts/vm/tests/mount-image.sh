#!/bin/bash
# mount -t qcow2 mounts the file system in an image, and umount takes the device away: whatever
# fails leaves none, and after umount the image is anybody's.
# kernels: 6.12 6.1 7.3
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/mount.sh"

make_fs ext4 image 32M
mkdir mnt bound

echo "there and away, as fast as it goes"
for number in 1 2 3 4 5; do
	mount -t qcow2 image mnt
	assert_eq "$(<mnt/data)" "ext4 image"
	assert_eq "$(qcowctl list -n --raw -o LAZY,RO)" "1 0"
	echo "$number" >"mnt/$number"
	umount mnt
	no_device "after umount $number"
	qemu-img check -q image
done
qcowctl mount -r image mnt
assert_eq "$(cat mnt/[1-5] | tr -d '\n')" 12345
assert_fails 'Read-only' touch mnt/more
umount mnt
no_device "in the end"

echo "what is mounted there already stays"
mount -t qcow2 image mnt
mount -t qcow2 image mnt
assert_eq "$(grep -c " $PWD/mnt " /proc/self/mounts)" 1 mounts
assert_fails 'image: is in use' mount -t qcow2 image bound
assert_refused 6 'image: is in use' qcowctl mount image bound
assert_fails 'image: is in use' mount -t qcow2 -o ro image mnt
mount -o remount,ro mnt
assert_fails 'Read-only' touch mnt/more
mount -o remount,rw mnt

echo "a second mount keeps the device, a lazy umount lets it go later"
dev=$(qcowctl list -n --raw -o NAME)
mount --bind mnt bound
umount mnt
[[ -b $dev ]] || fail "$dev has gone"
assert_eq "$(<bound/data)" "ext4 image"
exec {fd}<bound/data
assert_fails 'busy' umount bound
umount -l bound
[[ -b $dev ]] || fail "$dev has gone"
exec {fd}<&-
wait_for 20 test ! -e "$dev"

echo "written to an overlay, and thrown away"
sum=$(sha256sum image)
mount -t qcow2 -o overlay image mnt
mount -t qcow2 -o overlay image mnt
assert_eq "$(grep -c " $PWD/mnt " /proc/self/mounts)" 1 mounts
echo thrown >mnt/data
printf '%s\n' "$PWD/image $PWD/mnt qcow2 overlay 0 0" "$PWD/none $PWD/bound qcow2 nofail 0 0" >/etc/fstab
mount -o remount,ro "$PWD/mnt"
assert_fails 'Read-only' touch mnt/more
mount -a
umount mnt
no_device overlay
assert_eq "$(sha256sum image)" "$sum" image

echo "what fails leaves nothing"
qcowctl create -q empty 8M
assert_refused 9 'empty: has no file system that can be mounted' qcowctl mount empty mnt
no_device empty
assert_refused 9 'image: has no partition 3' qcowctl mount -p 3 image mnt
assert_refused 2 'image: cannot be mounted on nowhere' qcowctl mount image nowhere
no_device nowhere
assert_refused 2 'image: cannot be mounted on mnt' qcowctl mount -o frobnicate=1 image mnt
assert_status 32 mount -t qcow2 -o frobnicate=1 image mnt
no_device frobnicate
mount -t qcow2 --fake image mnt
no_device fake
assert_status 32 mount -t qcow2 absent mnt

echo "without umount.qcow2, the device goes a moment later"
rm /sbin/umount.qcow2
mount -t qcow2 image mnt
umount mnt
wait_for 10 test ! -e /dev/qcow0
wait_for 10 qemu-img check -q image
