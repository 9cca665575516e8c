#!/bin/bash
# ext4, XFS and btrfs, each on an image in a file of each, all with quotas (a third of
# the pairs in one run): journal commits, writeback, freezing and a little memory; right bytes, and no lock
# taken wrongly.
# kernels: debug
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

SIZE=400M

random_seed
noise_files

# mount_new KIND DEVICE DIRECTORY: a new file system, which counts what belongs to whom
mount_new() {
	case $1 in
	ext4)
		mkfs.ext4 -q -F -O quota -E lazy_itable_init=0,lazy_journal_init=0 "$2"
		mount "$2" "$3"
		;;
	xfs)
		mkfs.xfs -q -f -K "$2"
		mount -o uquota,gquota "$2" "$3"
		;;
	btrfs)
		mkfs.btrfs -q -f -K -R quota "$2"
		mount "$2" "$3"
		;;
	esac
}

# work DIRECTORY: writers that wait for commits beside one that leaves it to writeback
work() {
	local i pids=()
	for i in 0 1 2; do
		(
			for ((n = 0; n < 4; n++)); do
				dd if="noise$i" of="$1/synced$i-$n" bs=16K conv=fsync status=none
			done
		) &
		pids+=($!)
	done
	for i in 3 4 5 6 7; do
		cp "noise$i" "$1/cached$i"
		echo 1 >/proc/sys/vm/drop_caches
	done
	fsfreeze -f "$1"
	fsfreeze -u "$1"
	for i in "${pids[@]}"; do
		wait "$i"
	done
	sync -f "$1"
	echo 3 >/proc/sys/vm/drop_caches
	for i in 0 1 2; do
		assert cmp "noise$i" "$1/synced$i-3"
	done
	for i in 3 4 5 6 7; do
		assert cmp "noise$i" "$1/cached$i"
	done
}

mkdir below above
# in each third all of them, above and below
pairs=("ext4 on ext4" "ext4 on xfs" "ext4 on btrfs"
	"xfs on xfs" "xfs on btrfs" "xfs on ext4"
	"btrfs on btrfs" "btrfs on ext4" "btrfs on xfs")
one_in 3 pairs
for pair in "${pairs[@]}"; do
	echo "$pair"
	mount_new "${pair#* on }" /dev/ram1 below
	qemu-img create -q -f qcow2 below/image "$SIZE"
	dev=$(attach below/image)
	mount_new "${pair% on *}" "$dev" above
	work above
	# the file system below frozen: what is written above waits, and is there afterwards
	fsfreeze -f below
	cp noise0 above/frozen
	sync -f above &
	sleep 0.5
	fsfreeze -u below
	wait $!
	assert cmp noise0 above/frozen
	umount above
	detach "$dev"
	assert_clean below/image
	umount below
done
