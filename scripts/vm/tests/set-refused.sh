#!/bin/bash
# What keeps a device from becoming read-only or writable is refused by name, and nothing changes.
# kernels: 6.12 debug
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

# unchanged 0|1: the device is read-only or not, and so are the locks
unchanged() {
	assert_eq "$(blockdev --getro "$dev")" "$1" "read-only flag"
	if [[ $1 -eq 1 ]]; then
		assert_eq "$(qemu-io -r -c 'read 0 512' image | grep -c '^read 512')" 1 "readers"
		assert_fails . dd if=/dev/zero of="$dev" bs=4K count=1 oflag=direct
	else
		assert_fails "Failed to get .*lock" qemu-io -r -c "read 0 512" image
		dd if=/dev/zero of="$dev" bs=4K count=1 oflag=direct status=none
	fi
}

echo "no device"
assert_refused 9 "no such device" qcowctl set -r /dev/qcow77
assert_refused 9 "no such device" qcowctl set -w nowhere

echo "open for writing"
qemu-img create -q -f qcow2 image 16M
dev=$(attach image)
printf 'start=2048\n' | sfdisk -q "$dev"
wait_for 10 test -b "${dev}p1"
for node in "$dev" "${dev}p1"; do
	exec {held}<>"$node"
	assert_refused 6 "open for writing.*is open in process" qcowctl set --read-only "$dev"
	unchanged 0
	exec {held}>&-
done
exec {held}<"$dev"
qcowctl set --read-only "$dev"
unchanged 1
exec {held}<&-

echo "a file system that may write, and has not"
detach "$dev"
qemu-img create -q -f qcow2 -o cluster_size=64K image 128M
dev=$(attach image)
mkfs.btrfs -q "$dev"
mkdir -p mnt
mount -o ro "$dev" mnt
qcowctl set -r "$dev"
unchanged 1
qcowctl set -w "$dev"
mount -o remount,rw mnt
assert_refused 6 "$dev: is mounted on .*mnt and may be written to" qcowctl set -r "$dev"
echo something >mnt/file
umount mnt
mount "$dev" mnt
assert_eq "$(<mnt/file)" something
umount mnt

echo "a disk that somebody has made read-only"
blockdev --setro "$dev"
assert_fails "Failed to get .*lock" qemu-io -r -c "read 0 512" image
qcowctl set -w "$dev"
qcowctl set -r "$dev"
assert_eq "$(qemu-io -r -c 'read 0 512' image | grep -c '^read 512')" 1 "readers"
detach "$dev"
qemu-img create -q -f qcow2 image 16M
dev=$(attach -r image)

echo "another device, another program"
second=$(attach -r image)
assert_refused 6 "attached 2 times: name the device" qcowctl set -w image
assert_refused 6 "is in use" qcowctl set -w "$dev"
unchanged 1
detach "$second"
qemu-img create -q -f qcow2 -b image -F qcow2 top
top=$(attach top)
assert_refused 6 "is in use" qcowctl set -w "$dev"
unchanged 1
detach "$top"
mkfifo feed
for mode in "-r" "-r -U"; do
	# shellcheck disable=SC2086 # several words
	qemu-io $mode -f qcow2 image <feed >qemu.log 2>&1 &
	exec {fd}>feed
	echo 'read 0 512' >&"$fd"
	wait_for 20 grep -q 'read 512/512' qemu.log
	assert_refused 6 "image: is in use: another process" qcowctl set -w "$dev"
	unchanged 1
	exec {fd}>&-
	wait
done
detach "$dev"
qemu-io -f qcow2 image <feed >qemu.log 2>&1 &
exec {fd}>feed
echo 'read 0 512' >&"$fd"
wait_for 20 grep -q 'read 512/512' qemu.log
dev=$(attach -r --force-share image 2>/dev/null)
assert_refused 6 "another process (may write|uses it)" qcowctl set -w "$dev"
assert_eq "$(blockdev --getro "$dev")" 1
exec {fd}>&-
wait
qcowctl set -w "$dev"
unchanged 0
detach "$dev"
assert_clean image

echo "the image"
qemu-img snapshot -c one image
dev=$(attach --snapshot one image)
assert_refused 4 "shows a snapshot" qcowctl set -w "$dev"
unchanged 1
detach "$dev"
qemu-img snapshot -d one image
cp image good
for bits in "01 dirty" "02 corrupt"; do
	poke image 79 "${bits% *}"
	dev=$(attach -r image)
	assert_refused 4 "marked ${bits#* }" qcowctl set -w "$dev"
	assert_eq "$(blockdev --getro "$dev")" 1
	detach "$dev"
	cp good image
done
dev=$(attach -r image)
# another program has changed the header, in spite of all locks
poke image 95 01
assert_refused 2 "has changed since" qcowctl set -w "$dev"
assert_eq "$(blockdev --getro "$dev")" 1
cp good image
detach "$dev"

echo "descriptors"
dev=$(attach -r image)
qemu-img create -q -f qcow2 other 16M
python - "${dev#/dev/qcow}" <<'PY'
import errno
import os
import sys

import qcowdev as q
from qcowdev import expect

index = int(sys.argv[1])


def rw(name):
    return os.open(name, os.O_RDWR)


def ro(name):
    return os.open(name, os.O_RDONLY)


expect("closed", q.set_access(index, 99), errno.EBADF, "descriptor 99 is not open")
expect("read-only", q.set_access(index, ro("image")), errno.EBADF, "not open for writing")
expect("another file", q.set_access(index, rw("other")), errno.EINVAL, "is not image")
expect("a data file", q.set_access(index, rw("image"), rw("other")), errno.EINVAL,
       "has no external data file")
expect("is so already", q.set_access(index, 99, flags=1), 0)
expect("writable", q.set_access(index, rw("image")), 0)
expect("again", q.set_access(index, 99), 0)
expect("to be written to", q.set_access(index, rw("image"), flags=1), errno.EBADF,
       "is open for writing")
expect("another file to read", q.set_access(index, ro("other"), flags=1), errno.EINVAL,
       "is not image")
expect("read-only again", q.set_access(index, ro("image"), flags=1), 0)
q.finish()
PY
detach "$dev"
qemu-img create -q -f qcow2 -o data_file=image.data with-data 16M
dev=$(attach -r with-data)
python - "${dev#/dev/qcow}" <<'PY'
import errno
import os
import sys

import qcowdev as q

q.expect("no data file", q.set_access(int(sys.argv[1]), os.open("with-data", os.O_RDWR)),
         errno.EINVAL, "has an external data file, and none was given")
q.finish()
PY
detach "$dev"

echo "on a file system that is read-only"
mkfs.ext4 -q /dev/ram1 32M
mount /dev/ram1 mnt
cp image mnt/image
mount -o remount,ro mnt
dev=$(attach -r mnt/image)
assert_refused 2 "Read-only file system" qcowctl set -w "$dev"
# nothing keeps it from becoming so
mount -o remount,rw mnt
qcowctl set -w "$dev"
assert_fails "busy" mount -o remount,ro mnt
qcowctl set -r "$dev"
mount -o remount,ro mnt
detach "$dev"
umount mnt
assert_clean image
