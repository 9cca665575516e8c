#!/bin/bash
# The store makes no difference to what is written: the page cache of a file system, one
# without direct I/O, a block device, and one with sectors of 4 KiB.
# kernels: 6.12
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

random_seed
noise_files
size=$((6 << 20))

# make IMAGE CLUSTER
make() {
	qemu-img create -q -f qcow2 -o "cluster_size=$2" "$1" "$size"
	image_io qcow2 "$1" "write -q -s noise0 100K 70K" "write -q -c -s text1 2M 64K" \
		"write -q -s noise2 3900K 60K"
	qemu-img convert -O raw "$1" shadow
}

# check WHERE [ATTACH OPTION...]: write, and again
check() {
	local where=$1 dev
	shift
	for _ in 1 2; do
		dev=$(attach "$@" "$where" 2>said) || fail "attach $where: $(cat said)"
		SEED=$((SEED + 1))
		model "$dev" shadow -t 2 -p 3
		detach "$dev"
	done
	assert_clean "$where"
	assert_image_is shadow "$where"
}

on_block_device() {
	make image "$1"
	blkdiscard -z -l 64M /dev/ram1 2>/dev/null ||
		dd if=/dev/zero of=/dev/ram1 bs=1M count=64 status=none
	dd if=image of=/dev/ram1 bs=64K conv=fsync status=none
	check /dev/ram1 "${@:2}"
}

on_large_sectors() {
	local loop
	make image "$1"
	truncate -s 64M image
	loop=$(losetup -f --show --sector-size 4096 image)
	assert_eq "$(blockdev --getss "$loop")" 4096 "sectors of $loop"
	check "$loop"
	losetup -d "$loop"
}

on_tmpfs() {
	mkdir mnt
	mount -t tmpfs -o size=64M tmpfs mnt
	make mnt/image "$1"
	check mnt/image
	assert umount mnt
}

on_file() {
	make image "$1"
	check image "${@:2}"
}

cases=(
	"on_file 64K --direct-io off"
	"on_file 4K --direct-io on"
	"on_tmpfs 64K"
	"on_block_device 512"
	"on_block_device 64K"
	"on_block_device 64K --direct-io off"
	"on_large_sectors 4K"
	"on_large_sectors 64K"
)
half cases
for case in "${cases[@]}"; do
	echo "$case"
	read -r -a words <<<"$case"
	"${words[@]}"
done
