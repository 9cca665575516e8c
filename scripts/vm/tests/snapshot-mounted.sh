#!/bin/bash
# Snapshots of a disk whose partitions are mounted and written to: each holds clean file systems
# with all that was synced before; none is applied to a disk in use, unless that is forced.
# kernels: 6.12 6.1 debug 7.3
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 256M
dev=$(attach image)
sfdisk -q "$dev" <<<$'label: gpt\nsize=100M\nsize=100M\n'
wait_for 10 test -b "${dev}p2"
mkdir p1 p2
for p in p1 p2; do
	mkfs.ext4 -q "$dev$p"
	mount "$dev$p" "$p"
done

# churn DIRECTORY: until the file stop is there
churn() {
	local i=0
	until [[ -e stop ]]; do
		i=$((i + 1))
		cp -r /etc/init.d "$1/d$((i % 7))"
		[[ $((i % 3)) -ne 0 ]] || rm -rf "$1/d$(((i + 3) % 7))"
	done
}
churn p1 &
churn p2 &
for i in 1 2 3 4; do
	echo "state $i" >p1/synced
	sync p1/synced
	qcowctl snapshot -c "s$i" "$dev"
	sleep 1
done
qcowctl snapshot -d s2 image
assert_refused 6 "is open" qcowctl snapshot -a s1 "$dev"
touch stop
wait
umount p1 p2
for p in p1 p2; do
	e2fsck -fn "$dev$p" >/dev/null
done
qcowctl snapshot -a s3 "$dev"
for p in p1 p2; do
	assert_match "$(dumpe2fs -h "$dev$p" 2>/dev/null)" "Filesystem state: +clean"
	assert_fails "" grep -q needs_recovery <(dumpe2fs -h "$dev$p" 2>/dev/null)
	e2fsck -fn "$dev$p" >/dev/null
done
mount -o ro "${dev}p1" p1
assert_eq "$(<p1/synced)" "state 3"
umount p1
detach "$dev"
assert_clean image
for i in 1 3 4; do
	dev=$(attach --snapshot "s$i" image)
	for p in p1 p2; do
		e2fsck -fn "$dev$p" >/dev/null
	done
	mount -o ro "${dev}p1" p1
	assert_eq "$(<p1/synced)" "state $i"
	umount p1
	detach "$dev"
done

# what follows is the same on each kernel
[[ $QCOW_KERNEL == 6.12 ]] || exit 0

# a snapshot keeps its size, and the disk has that again when it is applied
qemu-img create -q -f qcow2 sized 64M
dev=$(attach sized)
dd if=/dev/urandom of="$dev" bs=1M seek=60 count=4 oflag=direct status=none
dd if="$dev" of=small.raw bs=1M status=none
qcowctl snapshot -c small "$dev"
qcowctl resize -q 96M "$dev"
dd if=/dev/urandom of="$dev" bs=1M seek=90 count=4 oflag=direct status=none
dd if="$dev" of=large.raw bs=1M status=none
qcowctl snapshot -c large "$dev"
for state in small large small; do
	qcowctl snapshot -a "$state" "$dev"
	cmp "$dev" "$state.raw"
done
detach "$dev"
assert_clean sized
assert_image_is small.raw sized
qemu-img snapshot -a large sized
assert_image_is large.raw sized

# a disk that has become smaller, with its partition, and an L1 table that has not
qemu-img create -q -f qcow2 -o cluster_size=4K shrunk 64M
dev=$(attach shrunk)
sfdisk -q "$dev" <<<$'label: dos\nsize=60M\n'
wait_for 10 test -b "${dev}p1"
qcowctl resize -q --shrink 8M "$dev"
assert_eq "$(blockdev --getsize64 "${dev}p1")" $((7 << 20)) "bytes of the partition"
qcowctl snapshot -c one "$dev"
dd if=/dev/urandom of="$dev" bs=1M count=8 oflag=direct conv=notrunc status=none
dd if="$dev" of=shrunk.raw bs=1M status=none
qcowctl snapshot -a one "$dev"
qcowctl resize -q 64M "$dev"
qcowctl snapshot -c two "$dev"
dd if=shrunk.raw of="$dev" bs=1M oflag=direct conv=notrunc status=none
detach "$dev"
assert_clean shrunk
truncate -s 64M shrunk.raw
assert_image_is shrunk.raw shrunk

# what cannot be: nothing changes
cp image before
dev=$(attach -r image)
assert_refused 5 "read-only" qcowctl snapshot -c no "$dev"
detach "$dev"
dev=$(attach image)
assert_refused 9 "no snapshot with the id or name 's2'" qcowctl snapshot -d s2 "$dev"
detach "$dev"
cmp image before
qemu-img create -q -f qcow old 1M
dev=$(attach old)
assert_refused 5 "version 1 has no snapshots" qcowctl snapshot -c no "$dev"
detach "$dev"
qemu-img create -q -f qcow2 -o data_file=data outside 1M
dev=$(attach outside)
assert_refused 5 "external file" qcowctl snapshot -c no "$dev"
detach "$dev"
qemu-img create -q -f qcow2 -o refcount_bits=1 narrow 1M
dev=$(attach narrow)
dd if=/dev/urandom of="$dev" bs=64K count=2 oflag=direct status=none
assert_status 5 qcowctl snapshot -c no "$dev"
assert_logged "refcount_order 0 has room for no more"
dd if="$dev" of=narrow.raw bs=1M status=none
detach "$dev"
assert_clean narrow
assert_image_is narrow.raw narrow
