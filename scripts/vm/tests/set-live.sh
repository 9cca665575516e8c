#!/bin/bash
# A device becomes read-only and writable again while it is attached, mounted and read from: the
# image is as an attach and a detach leave it, locks and header included.
# kernels: 6.12 6.1 debug 7.3
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

readonly SIZE=12M
readonly DIRTY=1 FEATURES_AT=72

# incompatible IMAGE: the feature bits
incompatible() { peek "$1" $FEATURES_AT 8; }

# is_ro DEVICE 0|1: all that tells it does
is_ro() {
	assert_eq "$(blockdev --getro "$1")" "$2" "read-only flag"
	assert_eq "$(<"/sys/block/${1#/dev/}/ro")" "$2" "ro in sysfs"
	assert_eq "$(qcowctl list -n -o RO "$1" | tr -d ' ')" "$2" "RO of list"
}

echo "there and back"
for options in "-f qcow2 -o lazy_refcounts=on" "-f qcow2 -o compat=0.10" "-f qcow" \
	"-f qcow2 -o data_file=image.data"; do
	rm -f image image.data
	# shellcheck disable=SC2086 # several words
	qemu-img create -q $options image $SIZE
	fill raw $SIZE 7
	dev=$(attach -r image)
	is_ro "$dev" 1
	qcowctl set --read-write "$dev"
	is_ro "$dev" 0
	assert_refused 6 "is in use: another process" qcowctl attach -r image
	dd if=raw of="$dev" bs=1M oflag=direct conv=fsync status=none
	[[ $options != *lazy* ]] ||
		assert_eq $(($(incompatible image) & DIRTY)) 0 "dirty bit while writable"
	blkdiscard -o 4M -l 4M "$dev"
	dd if=raw of="$dev" bs=1M seek=4 skip=4 count=4 oflag=direct conv=notrunc status=none
	qcowctl set --read-only "$dev"
	is_ro "$dev" 1
	assert_fails . dd if=raw of="$dev" bs=4K count=1 oflag=direct
	cmp "$dev" raw
	# clean, but that version 1 keeps gaps, and free for readers
	if [[ $options == "-f qcow" ]]; then
		assert_refused 3 "nothing refers" qcowctl check image
	else
		assert_clean image
		assert_fails "Failed to get .*lock" qemu-io -f qcow2 -c "write 0 512" image
		second=$(attach -r image)
		assert_attr "$second" shared_layers 1
		assert_same_content "$second" image
		detach "$second"
	fi
	qcowctl set -w "$dev"
	dd if=raw of="$dev" bs=4K count=1 oflag=direct conv=notrunc status=none
	detach "$dev"
	assert_clean image
	assert_attached_equals image
done

echo "mounted"
rm -f image image.data raw
qemu-img create -q -f qcow2 base 64M
qemu-img create -q -f qcow2 -b base -F qcow2 image
dev=$(attach image)
printf 'start=2048\n' | sfdisk -q "$dev"
wait_for 10 test -b "${dev}p1"
mkfs.ext4 -q "${dev}p1"
mkdir mnt
mount "${dev}p1" mnt
echo first >mnt/file
assert_refused 6 "p1: is mounted on $PWD/mnt and may be written to" qcowctl set --read-only "$dev"
is_ro "$dev" 0
echo second >mnt/file
umount mnt
mount -o ro "${dev}p1" mnt
qcowctl set --read-only "$dev"
is_ro "$dev" 1
assert_fails "read-only|protected" mount -o remount,rw mnt
assert_clean image
qcowctl set --read-write image
# what has been opened to be read goes on, and the file system may be written to
mount -o remount,rw mnt
echo third >mnt/file
sync
assert_refused 6 "mounted on $PWD/mnt and may be written to" qcowctl set --read-only "$dev"
umount mnt
qcowctl set -r "$dev"
qcowctl set -r "$dev"
e2fsck -fn "${dev}p1" >e2fsck.log 2>&1 || fail "e2fsck: $(<e2fsck.log)"
mount -o ro "${dev}p1" mnt
assert_eq "$(<mnt/file)" third
umount mnt
detach --wait 10 "$dev"
assert_clean image base

echo "while fio writes"
random_seed
qemu-img create -q -f qcow2 -o cluster_size=4K written 16M
dev=$(attach written)
# not while it writes: all that it has written is there, and more can be
fio --name=random --filename="$dev" --rw=randwrite --bs=4k --direct=1 --ioengine=libaio \
	--iodepth=16 --time_based --runtime=600 --minimal >fio.log &
writer=$!
has_written() { [[ $(awk '{ print $5 }' "/sys/block/${dev#/dev/}/stat") -gt 0 ]]; }
wait_for 30 has_written
for ((i = 0; i < 3; i++)); do
	assert_refused 6 "open for writing" qcowctl set --read-only "$dev"
	qcowctl set --read-write "$dev"
done
kill "$writer" || fail "fio had ended: nothing was tried"
wait "$writer" || :
cp --sparse=always "$dev" raw
qcowctl set --read-only "$dev"
assert_clean written
cmp "$dev" raw
qcowctl set --read-write "$dev"
fio_verified "$dev" 16M --io_size=2M
detach "$dev"
assert_clean written
rm raw written

echo "under readers"
fill raw $SIZE 9
qemu-img convert -f raw -O qcow2 -c raw image
dev=$(attach image)
reader() {
	local at
	until [[ -e stop ]]; do
		at=$((RANDOM % 10))
		cmp -n $((2 << 20)) -i $((at << 20)) "$dev" raw || touch bad
		dd if="$dev" bs=1M skip=$at count=2 iflag=direct status=none |
			cmp - <(dd if=raw bs=1M skip=$at count=2 status=none) || touch bad
	done
}
reader & readers=("$!")
reader & readers+=("$!")
for ((i = 0; i < 6; i++)); do
	qcowctl set --read-only "$dev"
	qcowctl set --read-write "$dev"
done
touch stop
wait "${readers[@]}"
[[ ! -e bad ]] || fail "a reader has seen something else"
dd if=raw of="$dev" bs=1M oflag=direct conv=fsync status=none
qcowctl set --read-only "$dev"
assert_clean image
cmp "$dev" raw
detach "$dev"
