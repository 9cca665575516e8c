#!/bin/bash
# What people complain about in qemu-nbd, tried with it and here: partitions and a size that come
# late, a disconnect of a disk that is in use, a number that is used again at once, attaches at the
# same time.
# kernels: 6.12
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

modprobe nbd
images=8
for ((i = 0; i < images; i++)); do
	truncate -s 16M raw
	sfdisk -q raw <<<$',8M\n'
	printf 'image %d' "$i" | dd of=raw bs=1M seek=12 conv=notrunc status=none
	qemu-img convert -O qcow2 raw "image$i"
done

# mark DEVICE: which image it is
mark() { dd if="$1" bs=1M skip=12 count=1 status=none | tr -d '\0'; }

echo "partitions and size, when the command has ended"
late=0
for ((i = 0; i < images; i++)); do
	qemu-nbd --connect /dev/nbd0 -f qcow2 "image$i"
	[[ -b /dev/nbd0p1 && $(<"/sys/block/nbd0/size") -eq 32768 ]] || late=$((late + 1))
	qemu-nbd --disconnect /dev/nbd0 >disconnected
	wait_for 10 test ! -e /sys/block/nbd0/pid
done
echo "qemu-nbd: late $late times of $images"
for ((i = 0; i < images; i++)); do
	dev=$(qcowctl attach "image$i")
	[[ -b ${dev}p1 ]] || fail "no partition of $dev"
	assert_eq "$(<"/sys/block/${dev#/dev/}/size")" 32768 size
	assert_eq "$(mark "$dev")" "image $i"
	qcowctl detach "$dev"
	[[ ! -e /sys/block/${dev#/dev/} ]] || fail "$dev is still there"
done

echo "a disconnect of a disk that is in use"
qemu-img create -q -f qcow2 disk 16M
qemu-nbd --connect /dev/nbd0 -f qcow2 disk
wait_for 10 grep -qx 32768 /sys/block/nbd0/size
mkfs.ext4 -q /dev/nbd0
mkdir mnt
mount /dev/nbd0 mnt
echo kept >mnt/file
sync
qemu-nbd --disconnect /dev/nbd0 >disconnected || fail "qemu-nbd refuses, too"
assert_fails "" touch mnt/more
umount mnt
wait_for 20 test ! -e /sys/block/nbd0/pid
qcowctl attach -q disk
mount /dev/qcow0 mnt
assert_status 6 qcowctl detach disk
echo 3 >/proc/sys/vm/drop_caches
assert_eq "$(<mnt/file)" kept
umount mnt
qcowctl detach disk

echo "all at once"
for ((i = 0; i < images; i++)); do
	qcowctl attach "image$i" >"device$i" &
	attaching[i]=$!
done
wait "${attaching[@]}"
assert_eq "$(cat device? | sort -u | wc -l)" "$images" "different devices"
for ((i = 0; i < images; i++)); do
	assert_eq "$(mark "$(<"device$i")")" "image $i"
	assert_eq "$(qcowctl list -n --raw -o NAME "image$i")" "$(<"device$i")" "list"
done
qcowctl detach --all

echo "a number that is used again at once"
for ((i = 0; i < 3 * images; i++)); do
	qcowctl attach -q --device qcow3 "image$((i % images))"
	assert_eq "$(mark /dev/qcow3)" "image $((i % images))"
	qcowctl detach qcow3
done
