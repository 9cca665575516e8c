#!/bin/bash
# ext4, XFS and (where the kernel has it) btrfs, each on an image in a file of each: journal commits,
# writeback, freezing and a little memory; right bytes, and no lock taken wrongly. The debug kernel has
# no btrfs; where there is one, all but the pairs that it has.
# kernels: 6.12 debug
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

SIZE=400M

modprobe -a xfs 2>/dev/null || true
kinds=(ext4 xfs)
! modprobe btrfs 2>/dev/null || kinds+=(btrfs)
random_seed
noise_files

make_fs() {
	case $1 in
	ext4) mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$2" ;;
	xfs) mkfs.xfs -q -f -K "$2" ;;
	btrfs) mkfs.btrfs -q -f -K "$2" ;;
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
for lower in "${kinds[@]}"; do
	make_fs "$lower" /dev/ram1
	mount /dev/ram1 below
	for upper in "${kinds[@]}"; do
		[[ ${#kinds[@]} -lt 3 || "$lower $upper" == *btrfs* ]] || continue
		echo "$upper on $lower"
		qemu-img create -q -f qcow2 below/image "$SIZE"
		dev=$(attach below/image)
		make_fs "$upper" "$dev"
		mount "$dev" above
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
		rm below/image
	done
	umount below
done
