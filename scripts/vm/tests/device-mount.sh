#!/bin/bash
# ext4, xfs and vfat on partitions of an image mount and have the files that
# were put there.
# kernels: 6.12 6.1 7.3
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

modprobe xfs
modprobe vfat
random_seed
noise_files
mkdir files mnt
mv noise* text* files
mkdir files/more
cp "$(type -P bash)" files/more
for number in {1..40}; do
	head -c "$((RANDOM % 9000))" files/text0 >"files/more/$number"
done

# mkfs.xfs wants 300 MiB
truncate -s 370M disk
sfdisk -q disk <<'TABLE'
label: gpt
size=24M
size=320M
size=16M
TABLE
loop=$(losetup -P -f --show disk)
wait_for 20 test -b "${loop}p3"
mkfs.ext4 -q "${loop}p1"
mkfs.xfs -q -f "${loop}p2"
mkfs.vfat "${loop}p3" >/dev/null
for number in 1 2 3; do
	mount "${loop}p$number" mnt
	cp -r files mnt
	umount mnt
done
losetup -d "$loop"

qemu-img convert -f raw -O qcow2 -o compression_type=zstd -c disk image
dev=$(attach -r image)
for type in ext4 xfs vfat; do
	number=$((number % 3 + 1))
	mount -o ro -t "$type" "${dev}p$number" mnt
	diff -r files mnt/files || fail "the files on $type differ"
	assert_fails . mount -o remount,rw mnt
	assert_fails 'Read-only file system' touch mnt/file
	umount mnt
done
detach "$dev"
