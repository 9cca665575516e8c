#!/bin/bash
# rename of an image that is attached, mounted and written to: sysfs shows the new path, the
# device goes on, and what is attached is not replaced.
# kernels: 6.12
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 200M
qemu-img create -q -f qcow2 other 1M
mkdir dir mnt
dev=$(attach image)
name=${dev#/dev/}
mkfs.ext4 -q "$dev"
mount "$dev" mnt

# files are written, synced and read back until there is `stop`
(
	set -e
	nr=0
	while [[ ! -e stop ]]; do
		head -c 300000 /dev/urandom >source
		cp source "mnt/file$((nr % 40))"
		sync "mnt/file$((nr % 40))"
		cmp source "mnt/file$((nr % 40))"
		nr=$((nr + 1))
		echo "$nr" >rounds
	done
) >writer.log 2>&1 &
writer=$!
wait_for 20 test -e rounds

shows() { assert_eq "$(cat "/sys/block/$name/qcow/image")" "$PWD/$1" "path in sysfs"; }
id=$(cat "/sys/block/$name/qcow/image_id")
for _ in 1 2 3 4 5; do
	assert qcowctl rename image dir/second
	shows dir/second
	assert qcowctl rename "$dev" third
	shows third
	assert qcowctl rename "$name" dir
	shows dir/third
	assert qcowctl rename dir/third image
	shows image
done
assert_eq "$(cat "/sys/block/$name/qcow/image_id")" "$id" "identity"

# what is attached is replaced by nothing
assert_refused 7 'image: exists' qcowctl rename other image
assert_refused 6 "image: is attached, $dev has it" qcowctl rename --force other image
assert_refused 7 'image: is the same file' qcowctl rename --force "$dev" image
mkdir shm
mount -t tmpfs none shm
assert_refused 2 'another file system' qcowctl rename "$dev" shm
umount shm
assert_refused 9 'no such device' qcowctl rename qcow9 new

before=$(cat rounds)
went_on() { [[ $(cat rounds) -gt $before ]]; }
wait_for 30 went_on
touch stop
wait "$writer" || fail "the writer failed: $(cat writer.log)"
umount mnt
fsck.ext4 -nf "$dev" >/dev/null || fail "the file system is damaged"

# a data file, and the name of it
qemu-img create -q -f qcow2 -o data_file=data.raw with-data 1M
second=$(attach with-data)
assert_refused 7 "its data file 'data.raw' is relative" qcowctl rename "$second" dir
assert_refused 6 'data.raw: is attached' qcowctl rename --force other data.raw
assert qcowctl rename "$second" renamed
detach renamed
qcowctl rename "$dev" moved
detach moved
assert_clean moved

# an image on a block device has no name
dd if=other of=/dev/ram1 bs=64K conv=fsync status=none
dev=$(attach -r /dev/ram1)
assert_refused 7 'is a block device, which is not renamed' qcowctl rename "$dev" new
detach "$dev"
