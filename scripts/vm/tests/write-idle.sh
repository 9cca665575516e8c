#!/bin/bash
# What has changed is durable some seconds later, and what has been discarded is given back,
# without a flush; a device that is left alone then writes nothing.
# kernels: 6.12
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

modprobe null_blk

# what writes and flushes have been asked of the disk NAME
asked() {
	local counts
	read -r -a counts <"/sys/block/$1/stat"
	echo "${counts[4]} ${counts[15]}"
}
unchanged() { [[ $(asked low) == "$before" ]]; }

# metadata of a write, and then nothing more
fill data 1M
truncate -s 64M shadow
dd if=data of=shadow bs=64K seek=300 conv=notrunc status=none
qemu-img create -q -f qcow2 image 64M
ram_disk low 64
dd if=image of=/dev/low bs=1M oflag=direct conv=fsync status=none
dev=$(attach --no-partscan /dev/low)
dd if=data of="$dev" bs=64K seek=300 oflag=direct status=none
same() { qemu-img compare -q -U -T none -f raw -F qcow2 shadow /dev/low; }
! same || fail "durable at once: nothing is tried"
wait_for 12 same
# the tables are there before their flush
sleep 2
before=$(asked low)
sleep 7
unchanged || fail "idle, and writes and flushes went from $before to $(asked low)"
detach "$dev"
echo 0 >/sys/kernel/config/nullb/low/power

# discards of a file system that is mounted and left alone
qemu-img create -q -f qcow2 image 512M
dev=$(attach image)
mkfs.xfs -q "$dev"
mkdir mnt
mount "$dev" mnt
used() { echo $(($(stat -c %b image) * 512)); }
empty=$(used)
for number in 1 2 3 4; do
	cat data data data data data data data data >"mnt/$number"
done
sync -f mnt
full=$(used)
[[ $full -gt $((empty + (30 << 20))) ]] || fail "$empty bytes used, then $full"
rm mnt/[1-4]
sync -f mnt
fstrim mnt
freed() { [[ $(used) -lt $((full - (30 << 20))) ]]; }
wait_for 12 freed
umount mnt
detach "$dev"
assert_clean image
