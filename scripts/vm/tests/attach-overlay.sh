#!/bin/bash
# attach --overlay: what is written goes to a new overlay, and the image stays as it is; without a
# name nothing of it is left.
# kernels: 6.12 6.1 7.3
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

mkdir tmp
export TMPDIR=$PWD/tmp
left() { ls -A tmp; }

fill content 4M 7
qemu-img convert -O qcow2 content bottom.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b bottom.qcow2 image.qcow2 8M
before=$(sha256sum bottom.qcow2 image.qcow2)
unchanged() { assert_eq "$(sha256sum bottom.qcow2 image.qcow2)" "$before" "images"; }

echo "one that is thrown away"
a=$(attach --overlay image.qcow2)
b=$(attach --overlay --detect-zeroes unmap image.qcow2)
assert_eq "$(left)" "" "left while they are attached"
assert_attr "$a" depth 3
assert_attr "$a" shared_layers 2
assert_attr "$a" backing "$PWD/image.qcow2"
assert_eq "$(blockdev --getsize64 "$a")" $((8 << 20))
cmp -n $((4 << 20)) "$a" content
fill other 1M 8
dd if=other of="$a" bs=64K oflag=direct conv=notrunc status=none
cmp -n $((1 << 20)) "$a" other
cmp -n $((4 << 20)) "$b" content
mkfs.ext4 -q -F "$b"
mkdir mnt
mount "$b" mnt
cp content mnt/
umount mnt
unchanged
detach "$a" "$b"
c=$(attach --overlay image.qcow2)
cmp -n $((4 << 20)) "$c" content
detach "$c"
unchanged

echo "a file"
mkdir dir
dev=$(attach --overlay=dir/over.qcow2 image.qcow2)
assert_attr "$dev" image "$PWD/dir/over.qcow2"
dd if=other of="$dev" bs=64K seek=100 conv=notrunc,fsync status=none
detach "$dev"
assert_clean dir/over.qcow2
assert_eq "$(backing_of dir/over.qcow2)" "$PWD/image.qcow2"
unchanged
cp content wanted
truncate -s 8M wanted
dd if=other of=wanted bs=64K seek=100 conv=notrunc status=none
assert_image_is wanted dir/over.qcow2 qcow2
sum=$(sha256sum dir/over.qcow2)
assert_fails "over.qcow2" qcowctl attach --overlay=dir/over.qcow2 image.qcow2
assert_eq "$(sha256sum dir/over.qcow2)" "$sum" "overlay that was there"

echo "another base, counted from the image"
fill other-bottom 4M 9
dev=$(attach --overlay --backing other-bottom --backing-format raw image.qcow2)
cmp -n $((4 << 20)) "$dev" other-bottom
detach "$dev"

echo "old versions, small clusters, compressed writes"
qemu-img convert -f raw -O qcow content v1.qcow
qemu-img convert -O qcow2 -o cluster_size=512 content small.qcow2
for image in v1.qcow small.qcow2; do
	dev=$(attach --overlay --compress zstd "$image")
	assert_attr "$dev" compress zstd
	dd if=/dev/zero of="$dev" bs=64K count=1 oflag=direct conv=notrunc status=none
	cmp -n 65536 "$dev" /dev/zero
	cmp -i 65536 -n $(((4 << 20) - 65536)) "$dev" content
	detach "$dev"
done

echo "what fails leaves nothing"
assert_status 3 qcowctl attach --overlay content
dev=$(attach image.qcow2)
assert_fails "" qcowctl attach --overlay image.qcow2
assert_fails "" qcowctl attach --overlay=dir/new.qcow2 image.qcow2
detach "$dev"
mkdir small
mount -t tmpfs -o size=64K tmpfs small
assert_fails "No space left" env TMPDIR="$PWD/small" qcowctl attach --overlay image.qcow2
assert_eq "$(ls small)" "" "left on a full disk"
umount small
assert_fails "no-such" env TMPDIR=/no-such qcowctl attach --overlay image.qcow2
dev=$(attach --overlay --device qcow9 image.qcow2)
assert_fails "qcow9 is attached already" \
	qcowctl attach --overlay=dir/new.qcow2 --device qcow9 image.qcow2
detach "$dev"
assert_eq "$(ls dir)" over.qcow2 "left in the directory"
assert_eq "$(left)" "" "left"
