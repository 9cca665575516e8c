#!/bin/bash
# What no overlay can be put on, and what cannot be one, is refused by name, and nothing changes:
# neither on the disk nor in the device.
# kernels: 6.12
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 16M
dev=$(attach image)
dd if=/dev/urandom of="$dev" bs=1M count=16 oflag=direct status=none
dd if="$dev" of=raw bs=1M status=none

# unchanged: the device is as it was
unchanged() {
	assert_attr "$dev" depth 1
	assert_attr "$dev" image "$PWD/image"
	cmp "$dev" raw
	dd if=raw of="$dev" bs=1M count=1 oflag=direct conv=notrunc status=none
}

echo "the file"
echo here >taken
: >empty
ln -s nowhere link
for file in taken empty; do
	assert_refused 7 "exists, and is not replaced" qcowctl overlay "$dev" "$file"
	assert_refused 7 "exists, and is not replaced" qcowctl fork "$dev" "$file"
	assert_refused 7 "exists, and is not replaced" qcowctl fork --own "$file" "$dev" new
done
assert_refused 1 "is the backing file itself" qcowctl overlay "$dev" image
assert_refused 7 "exists, and is not replaced" qcowctl overlay "$dev" /dev/ram1
assert_refused 7 "symbolic link to nothing" qcowctl overlay "$dev" link
assert_refused 9 "cannot open the directory" qcowctl overlay "$dev" nowhere/new
assert_refused 7 "exists" qcowctl fork --own new "$dev" new
assert_refused 7 "in memory" qcowctl overlay "$dev" /dev/new
assert_refused 7 "in memory" qcowctl fork --own /dev/new "$dev" new
assert_eq "$(<taken)" here
[[ ! -e new && ! -e /dev/new && ! -e image-1 && ! -s empty ]] || fail "files are left: $(ls)"
unchanged

echo "the device"
qemu-img create -q -f qcow2 other 16M
assert_refused 9 "no such device, and no attached image" qcowctl overlay other new
ro=$(attach -r other)
assert_refused 5 "read-only" qcowctl overlay "$ro" new
assert_refused 5 "read-only" qcowctl fork other new
detach "$ro"
assert_refused 9 "no such device" qcowctl overlay /dev/qcow77 new
assert_refused 1 "a device and a new file are wanted" qcowctl overlay "$dev"
assert_refused 1 "a device and a new file are wanted" qcowctl fork "$dev" a b
[[ ! -e new ]] || fail "a file is left"
unchanged

echo "on the device itself"
qemu-img create -q -f qcow2 own 32M
own=$(attach own)
printf 'start=2048\n' | sfdisk -q "$own"
wait_for 10 test -b "${own}p1"
mkdir mnt
for node in "${own}p1" "$own"; do
	mkfs.ext4 -q -F "$node"
	mount "$node" mnt
	assert_refused 7 "is on $own, which would wait for itself" qcowctl overlay own mnt/new
	assert_refused 7 "is on $own, which would wait for itself" qcowctl fork own mnt/new
	assert_refused 7 "is on $own, which would wait for itself" \
		qcowctl fork --own mnt/new own new
	[[ ! -e mnt/new && ! -e new && ! -e own-1 ]] || fail "files are left: $(ls . mnt)"
	umount mnt
done
detach "$own"
qemu-img create -q -f qcow2 own 16M
dd if=own of=/dev/ram1 bs=64K conv=fsync status=none
own=$(attach /dev/ram1)
assert_refused 1 "--own: is needed: .*/dev/ram1, a block device" qcowctl fork "$own" new
[[ ! -e new && ! -e /dev/ram1-1 && ! -e /dev/ram-2 ]] || fail "files are left"
detach "$own"

echo "exchanged"
# Another user puts other files in place of an overlay as soon as it has its name. The fork fails
# at its second overlay.
qemu-img create -q -f qcow2 own 16M
chmod 666 own
echo secret >victim
chmod 600 victim
chown 1:1 victim
own=$(attach own)
mkdir open
for link in -s ""; do
	while :; do
		for name in open/*; do
			# shellcheck disable=SC2086 # -s or nothing
			[[ ! -e $name || $name -ef victim ]] || ln $link -f "$PWD/victim" "$name" || :
		done
	done 2>/dev/null &
	for i in 1 2 3 4 5 6; do
		assert_refused 7 'is not the file|victim: exists' \
			qcowctl fork --own "open/new$link$i" "$own" victim
	done
	kill $!
	wait $! 2>/dev/null || true
done
assert_eq "$(stat -c %a:%u:%g:%s victim)" 600:1:1:7
assert_eq "$(<victim)" secret
assert_attr "$own" depth 1
detach "$own"
rm -rf own open mnt victim

echo "descriptors"
qemu-img create -q -f qcow2 good 16M
qemu-img create -q -f qcow2 small 15M
qemu-img create -q -f qcow2 filled 16M
qemu-io -c 'write -q 0 512' filled
qemu-img create -q -f qcow2 -o data_file=good.data with-data 16M
qemu-img create -q -f qcow2 used 16M
user=$(attach used)
python - "${dev#/dev/qcow}" "$user" <<'PY'
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


for what, top, image, data, err, text in (
        ("closed", 99, ro("image"), -1, errno.EBADF, "descriptor 99"),
        ("the image closed", rw("good"), 99, -1, errno.EBADF, "descriptor 99"),
        ("read-only", ro("good"), ro("image"), -1, errno.EBADF, "not open for writing"),
        ("another image", rw("good"), ro("other"), -1, errno.EINVAL, "is not image"),
        ("the image to be written to", rw("good"), rw("image"), -1, errno.EBADF,
         "is open for writing"),
        ("a data file", rw("good"), ro("image"), ro("other"), errno.EINVAL,
         "has no external data file"),
        ("another size", rw("small"), ro("image"), -1, errno.EINVAL,
         "size of the overlay: 15728640, must be that of the device, 16777216"),
        ("not empty", rw("filled"), ro("image"), -1, errno.EINVAL, "is not empty"),
        ("needs a data file", rw("with-data"), ro("image"), -1, errno.EINVAL, "needs its external"),
        ("no image", rw("taken"), ro("image"), -1, errno.EINVAL, "too short"),
        ("the image itself", rw("image"), ro("image"), -1, errno.EBUSY, "is in use by qcow"),
        ("of another device", rw("used"), ro("image"), -1, errno.EBUSY, "is in use by qcow")):
    expect(what, q.overlay(index, top, image, data), err, text)
expect("a node of another disk",
       q.overlay(index, rw("good"), ro("image"), nodes=(ro(sys.argv[2]),)), errno.EINVAL,
       "is no node of")
expect("a file for a node",
       q.overlay(index, rw("good"), ro("image"), nodes=(ro("image"),)), errno.EINVAL,
       "is no node of")
q.finish()
PY
detach "$user"
unchanged
assert_clean good small used other

echo "on the device itself, for the driver"
qemu-img create -q -f qcow2 outer 16M
outer=$(attach outer)
# on_itself FILE: the driver refuses it as an overlay of that device
on_itself() {
	python - "${outer#/dev/qcow}" "$1" <<-'PY'
	import errno
	import os
	import sys

	import qcowdev as q

	q.expect(sys.argv[2], q.overlay(int(sys.argv[1]), os.open(sys.argv[2], os.O_RDWR),
	                                os.open("outer", os.O_RDONLY)), errno.ELOOP, "itself")
	q.finish()
	PY
}
on_itself "$outer"
mkfs.ext4 -q "$outer"
mkdir inside
mount "$outer" inside
qemu-img create -q -f qcow2 inside/top 16M
on_itself inside/top
umount inside
detach "$outer"
assert_clean outer
detach "$dev"
assert_clean image
