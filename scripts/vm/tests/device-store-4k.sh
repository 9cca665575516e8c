#!/bin/bash
# On a disk with sectors of 4 KiB, and on a file system there, the device has
# sectors of 512 all the same, and images with clusters of 512 can be read, and written to
# through the page cache.
# kernels: 6.12 6.1
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
kinds=(noise text pattern zero unmap compressed)
qemu-img create -q -f qcow2 -o cluster_size=512 small 2M
random_writes $((2 << 20)) 512 "${kinds[@]}"
image_io qcow2 small "${WRITES[@]}"
qemu-img create -q -f qcow2 -o cluster_size=64K large 4M
random_writes $((4 << 20)) 65536 "${kinds[@]}"
image_io qcow2 large "${WRITES[@]}"
# the clusters of a version 1 image with a backing file have 512 bytes
truncate -s 1M base
qemu-img create -q -f qcow -b base -F raw v1 1M
image_io qcow v1 "write -s noise1 1536 50K" "write -s text2 300K 5K" "write -s noise3 1047552 1K" \
	"write -s noise4 512K 512"
for image in small large v1; do
	raw_of "$image"
done

# on the disk itself
for image in small large; do
	truncate -s %4096 "$image"
	loop=$(losetup -f --show --sector-size 4096 "$image")
	assert_eq "$(blockdev --getss "$loop")" 4096 "sectors of $loop"
	dev=$(attach -r "$loop")
	assert_attr "$dev" store bdev
	assert_attr "$dev" direct_io 1
	assert_eq "$(blockdev --getss "$dev")" 512 "sectors of $dev"
	assert_eq "$(blockdev --getpbsz "$dev")" 4096 "physical sectors of $dev"
	assert_eq "$(blockdev --getiomin "$dev")" 4096 "least I/O of $dev"
	assert_same_reads "$dev" "$image.raw"
	detach "$dev"
	[[ $image == large ]] || assert_refused 5 \
		"clusters of 512 bytes.*try: qcowctl attach -r $loop, or --direct-io off" \
		qcowctl attach "$loop"
	losetup -d "$loop"
done

# on a file system
truncate -s 64M disk
mkdir mnt
loop=$(losetup -f --show --sector-size 4096 disk)
mkfs.ext4 -q "$loop"
mount "$loop" mnt
cp small large base v1 mnt
pairs=()
for image in small large v1; do
	dev=$(attach -r --backing-format raw mnt/$image)
	assert_attr "$dev" direct_io 1
	assert_eq "$(blockdev --getss "$dev")" 512 "sectors of $dev"
	pairs+=("$dev" "$image.raw")
done
assert_same_reads "${pairs[@]}"
qcowctl detach --all
assert_refused 5 "try: qcowctl attach -r mnt/small, or --direct-io off" qcowctl attach mnt/small
dev=$(attach --direct-io off mnt/small)
assert_same_reads "$dev" small.raw
detach "$dev"
assert umount mnt
losetup -d "$loop"
