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

make image 64K
check image --direct-io off
make image 4K
check image --direct-io on

mkdir mnt
mount -t tmpfs -o size=64M tmpfs mnt
make mnt/image 64K
check mnt/image
assert umount mnt

for cluster in 512 64K; do
	make image "$cluster"
	blkdiscard -z -l 64M /dev/ram1 2>/dev/null || dd if=/dev/zero of=/dev/ram1 bs=1M count=64 status=none
	dd if=image of=/dev/ram1 bs=64K conv=fsync status=none
	check /dev/ram1
done
check /dev/ram1 --direct-io off

for cluster in 4K 64K; do
	make image "$cluster"
	truncate -s 64M image
	loop=$(losetup -f --show --sector-size 4096 image)
	assert_eq "$(blockdev --getss "$loop")" 4096 "sectors of $loop"
	check "$loop"
	losetup -d "$loop"
done
