#!/bin/bash
# More than a thousand reads, writes, discards and flushes in flight, on few CPUs and on many,
# with caches from the smallest up, through the page cache of the image's file and past it,
# while the disk below answers late and in another order: all end, no read has other bytes, and
# the image is whole and has what a raw file has.
# kernels: 6.12
# cpus: 1 8
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

SIZE=$((2 << 30))
DEPTH=3000
LEAST=1001
PIECE=$((32 << 11))
disk=/dev/mapper/slow

# table DELAY...: of the disk, whose pieces answer after so many milliseconds in turn
table() {
	local at delays=("$@") delay end
	end=$(blockdev --getsz /dev/ram1)
	for ((at = 0; at < end; at += PIECE)); do
		delay=${delays[at / PIECE % $#]}
		if [[ $delay -eq 0 ]]; then
			echo "$at $PIECE linear /dev/ram1 $at"
		else
			echo "$at $PIECE delay /dev/ram1 $at $delay"
		fi
	done
}

# become DELAY...
become() {
	table "$@" | dmsetup load slow
	dmsetup suspend slow
	dmsetup resume slow
}

# mix CACHE DIRECT: the page cache of the file answers for the disk, so there may be few in flight
mix() {
	local dev least=$LEAST
	[[ $2 == on ]] || least=0
	SEED=$((SEED + 1))
	echo "cache $1K, direct I/O $2"
	qemu-img create -q -f qcow2 -o cluster_size=16K mnt/image "$SIZE"
	rm -f shadow
	truncate -s "$SIZE" shadow
	# below 50 ms the delay would cost a CPU
	become 0 60 150
	dev=$(qcowctl attach --no-partscan --cache-size "$1K" --direct-io "$2" \
		--queue-depth 2048 mnt/image)
	assert_progress "$dev" "$QCOW_ROOT/scripts/vm/guest/deep" -s "$SEED" -t 5 -d "$DEPTH" \
		-p "$(nproc)" -m "$least" "$dev" shadow
	become 0
	detach "$dev"
	assert_clean mnt/image
	assert_image_is shadow mnt/image
	rm mnt/image
}

modprobe dm-delay
random_seed
mkdir mnt
table 0 | dmsetup create slow
dmsetup mknodes slow
# no journal: its commits would be all there is to wait for
mkfs.ext4 -q -O ^has_journal "$disk"
mount "$disk" mnt
# one past the page cache and one through it in each run
cases=("256 on" "32768 on" "1024 on" "32768 off" "1024 off" "256 off")
one_in 3 cases
for case in "${cases[@]}"; do
	read -r -a words <<<"$case"
	mix "${words[@]}"
done
umount mnt
dmsetup remove slow
