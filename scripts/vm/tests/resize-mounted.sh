#!/bin/bash
# A device grows while a file system on it is written to; partitions stay, there is a uevent, and
# the file system grows into it.
# kernels: 6.12 7.3
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"

size_of() { blockdev --getsize64 "$1"; }
virtual_size() { qemu-img info --output json "$1" | sed -n 's/^    "virtual-size": \([0-9]*\).*/\1/p'; }

echo "mounted, under load"
qemu-img create -q -f qcow2 -o cluster_size=4K image 96M
dev=$(attach image)
mkfs.ext4 -q "$dev"
mkdir -p mnt
mount "$dev" mnt
udevadm monitor --kernel --property >uevents 2>&1 &
monitor=$!
sleep 1
for i in 1 2 3; do
	while [[ ! -e stop ]]; do
		dd if=/dev/urandom of="mnt/file$i" bs=64K count=100 conv=fsync status=none
		sha256sum "mnt/file$i" >"sum$i"
	done &
	writers[i]=$!
done
sleep 1
# more than the L1 table has room for, three times
for size in 128M 300M +4G; do
	qcowctl resize "$size" "$dev"
	resize2fs "$dev" >resize2fs.log 2>&1 || fail "resize2fs: $(<resize2fs.log)"
	sleep 0.5
done
touch stop
for i in 1 2 3; do wait "${writers[i]}"; done
want=$(((4096 + 300) * 1024 * 1024))
assert_eq "$(size_of "$dev")" "$want" "size of the device"
assert_eq "$(cat "/sys/block/${dev#/dev/}/size")" "$((want / 512))" "size in sysfs"
[[ $(stat -f -c '%b' mnt) -gt 1000000 ]] || fail "the file system has not grown"
dd if=/dev/urandom of=mnt/large bs=1M count=40 conv=fsync status=none
cat sum1 sum2 sum3 >sums
sha256sum mnt/large >>sums
sleep 1
kill "$monitor"
wait "$monitor" || :
assert_eq "$(grep -c '^RESIZE=1' uevents)" 3 "uevents"
umount mnt
detach "$dev"
assert_clean image
assert_eq "$(virtual_size image)" "$want" "virtual size"
dev=$(attach -r image)
e2fsck -fn "$dev" >e2fsck.log 2>&1 || fail "e2fsck: $(<e2fsck.log)"
mount -o ro,noload "$dev" mnt
sha256sum -c --quiet sums
umount mnt
detach "$dev"
rm image

echo "under fio"
random_seed
qemu-img create -q -f qcow2 -o cluster_size=512 image 16M
dev=$(attach image)
rm stop
until [[ -e stop ]]; do fio_verified "$dev" 16M --io_size=24M; done &
writer=$!
for size in 24M 50M +1G; do
	sleep 0.5
	qcowctl resize -q "$size" "$dev"
done
touch stop
wait "$writer"
detach "$dev"
assert_clean image
rm image

echo "partitions"
truncate -s 40M raw
sfdisk -q raw <<<$',8M\n,8M\n'
qemu-img convert -O qcow2 raw image
dev=$(attach image)
mkfs.ext4 -q "${dev}p1"
mount "${dev}p1" mnt
echo here >mnt/file
qcowctl resize -q 80M "$dev"
[[ -b ${dev}p1 && -b ${dev}p2 ]] || fail "partitions are gone"
assert_eq "$(cat mnt/file)" here
assert_eq "$(size_of "${dev}p2")" $((8 << 20)) "size of a partition"
umount mnt
sfdisk -q -a "$dev" <<<',16M'
assert_eq "$(size_of "${dev}p3")" $((16 << 20)) "size of a new partition"
detach --wait 10 "$dev"
assert_clean image
