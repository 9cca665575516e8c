#!/bin/bash
# What has changed is durable some seconds later, and what has been discarded is given back some
# seconds later, without a flush, whatever file systems are on the device and below it; a device
# that is left alone then writes nothing.
# kernels: 6.12
# timeout: 240
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

used() { echo $(($(stat -c %b below/image) * 512)); }
flushes() { awk '{ print $16 }' "/sys/block/${dev#/dev/}/stat"; }
# at most so many bytes
uses() { [[ $(used) -le $1 ]]; }

mkdir mnt below
mkfs.ext4 -q /dev/ram1
mount /dev/ram1 below

# discards of a device that nobody flushes
qemu-img create -q -f qcow2 below/image 64M
dev=$(attach --no-partscan below/image)
dd if=/dev/urandom of="$dev" bs=1M count=32 oflag=direct conv=fsync status=none
full=$(used)
before=$(flushes)
blkdiscard -l 32M "$dev"
wait_for 30 uses $((full - (31 << 20)))
[[ $(flushes) -eq $before ]] || fail "something has flushed: nothing is tried"
detach "$dev"
assert_clean below/image
umount below
wipefs -q -a /dev/ram1

# discards of a file system that is mounted and left alone
# trimmed KIND: of the file system on the device
trimmed() {
	local empty full
	qemu-img create -q -f qcow2 below/image 512M
	dev=$(attach below/image)
	"mkfs.$1" -q "$dev"
	mount "$dev" mnt
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
	wait_for 30 uses $((full - (28 << 20)))
	umount mnt
	detach "$dev"
	assert_clean below/image
	rm below/image
}

modprobe xfs
modprobe btrfs
pairs=("ext4 ext4" "xfs ext4" "btrfs ext4" "ext4 xfs" "xfs xfs" "btrfs xfs" "ext4 tmpfs"
	"xfs tmpfs" "btrfs tmpfs")
random_seed
one_in 3 pairs
for pair in "${pairs[@]}"; do
	echo "$pair"
	kind=${pair#* }
	if [[ $kind == tmpfs ]]; then
		mount -t tmpfs -o size=600M below below
	else
		"mkfs.$kind" -q /dev/ram1
		mount /dev/ram1 below
	fi
	trimmed "${pair% *}"
	umount below
	[[ $kind == tmpfs ]] || wipefs -q -a /dev/ram1
done
