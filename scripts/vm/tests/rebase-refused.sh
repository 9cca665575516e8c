#!/bin/bash
# What cannot be the backing file of a device is refused by name, with the status and the words that
# an image has that is not attached, and nothing changes: neither on the disk nor in the device.
# kernels: 6.12 debug
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

fill a 1M 1
fill b 1M 2
qemu-img create -q -f qcow2 -b a -F raw image 1M
cp a raw
dev=$(attach image)

# unchanged: the device is as it was
unchanged() {
	assert_attr "$dev" depth 2
	assert_eq "$(attr "$dev" backing)" "$PWD/a"
	cmp "$dev" raw
	assert_eq "$(qemu-img info -U image | sed -n 's/^backing file: //p')" a
	# and can be written to
	dd if=raw of="$dev" bs=64K count=1 oflag=direct conv=notrunc status=none
}
# refused STATUS TEXT ARGUMENT...: by the device, and by an image as it was, not attached
refused() {
	assert_refused "$1" "$2" qcowctl rebase "${@:3}" "$dev"
	unchanged
	cp apart apart.before
	assert_refused "$1" "$2" qcowctl rebase "${@:3}" apart
	cmp apart apart.before
}
qemu-img create -q -f qcow2 -b a -F raw apart 1M

echo "the command line"
assert_refused 1 "FILE is wanted" qcowctl rebase "$dev"
assert_refused 9 "no such device" qcowctl rebase -b b -F raw /dev/qcow77
assert_refused 9 "no such device" qcowctl rebase -u -b b -F raw nowhere
refused 1 "the format of 'b' is not stated" -b b
refused 1 "the format of 'b' is not stated" -u -b b
name=$(printf '%01024d' 0)
refused 1 "has 1024 bytes, at most 1023" -b "$name" -F raw
refused 1 "has 1024 bytes, at most 1023" -u -b "$name" -F raw

echo "the file"
qemu-img create -q -f qcow2 -b nothing -F raw -u hollow 1M
qemu-img create -q -f qcow2 other 1M
printf 'QFI\xfb' >short
mkdir -p outside inside
cp b outside/b
ln -s "$PWD/outside/b" inside/link
qemu-img create -q -f qcow2 -b link -F raw inside/linked 1M
for _ in {1..20}; do
	qemu-img create -q -f qcow2 --object secret,id=key,data=secret \
		-o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10 luks 1M && break
done
refused 9 "nowhere: cannot open: No such file" -b nowhere -F raw
refused 9 "cannot open its backing file 'nothing'" -b hollow -F qcow2
refused 4 "states 'qcow2' for it" -b b -F qcow2
refused 4 "states 'qcow' for it" -b other -F qcow
refused 4 "short" -b short -F qcow2
refused 7 "has a protocol, only files are opened" -b nbd:localhost:1 -F raw
refused 7 "has a protocol, only files are opened" \
	-b 'json:{"driver":"file","filename":"b"}' -F raw
refused 7 "a symbolic link leads out of the directory" -b inside/linked -F qcow2
refused 7 "directory, only regular files and block devices" -b outside -F raw
refused 7 "character device" -b /dev/zero -F raw
refused 1 "no file is read that could need a key" -b '' --key-file b
assert_refused 10 "luks: the passphrase opens no key slot" \
	qcowctl rebase -b luks -F qcow2 --key-file short "$dev"
assert_refused 1 "b: more keys are given \(1\) than it has encrypted layers" \
	qcowctl rebase -b b -F raw --key-file short "$dev"
unchanged
assert_refused 5 "luks: crypt_method 2: encrypted images are rebased with -u only" \
	qcowctl rebase -b luks -F qcow2 apart
qemu-img create -q -f qcow2 -b image -F qcow2 -u above 1M
qemu-img create -q -f qcow2 -b apart -F qcow2 -u above.apart 1M
ln image hard
for name in image ./image hard above; do
	assert_refused 4 "is already in the chain, as .*image: a loop" \
		qcowctl rebase -b "$name" -F qcow2 image
	unchanged
done
assert_refused 4 "a loop" qcowctl rebase -b above.apart -F qcow2 apart

echo "the file is in use"
qemu-img create -q -f qcow2 used 1M
used=$(attach used)
assert_refused 6 "used: is in use" qcowctl rebase -b used -F qcow2 "$dev"
unchanged
detach "$used"
mkfifo feed
qemu-io -f qcow2 used <feed >qemu.log 2>&1 &
exec {fd}>feed
echo 'read 0 512' >&"$fd"
wait_for 20 grep -q 'read 512/512' qemu.log
assert_refused 6 "used: is in use" qcowctl rebase -b used -F qcow2 "$dev"
unchanged
exec {fd}>&-
wait

echo "on the device itself"
IFS=: read -r major minor <"/sys/block/${dev#/dev/}/dev"
mknod node b "$major" "$minor"
for name in "$dev" node; do
	assert_refused 4 "itself" qcowctl rebase -b "$name" -F raw "$dev"
	unchanged
done
qemu-img create -q -f qcow2 -b a -F raw own 24M
own=$(attach own)
printf 'start=2048\n' | sfdisk -q "$own"
wait_for 10 test -b "${own}p1"
mkfs.ext4 -q "${own}p1"
mkdir mnt
mount "${own}p1" mnt
cp b mnt/b
for name in mnt/b "${own}p1"; do
	assert_refused 4 "itself" qcowctl rebase -b "$name" -F raw own
	assert_eq "$(attr "$own" backing)" "$PWD/a"
done
cmp mnt/b b
umount mnt
assert_refused 9 "is a partition of" qcowctl rebase -b b -F raw "${own}p1"
detach --wait 10 "$own"
assert_clean own

echo "no room in the header"
long=$(printf '%0490d' 0)
other=$(printf '%0400d' 0 | tr 0 x)
file=$(printf '%0200d' 0 | tr 0 y)
cp b "$file"
for cluster in 512 1K; do
	qemu-img create -q -f qcow2 -o cluster_size=$cluster small 1M
	small=$(attach small)
	[[ $cluster == 512 ]] || qcowctl rebase -u -b "$long" -F raw "$small"
	assert_refused 5 "no room for a backing file name of 400 bytes" \
		qcowctl rebase -u -b "$other" -F raw "$small"
	assert_refused 5 "no room for a backing file name of 420 bytes" \
		qcowctl rebase -b "$(printf './%.0s' {1..110})$file" -F raw "$small"
	detach "$small"
	qcowctl check -q small
done
rm "$file"

echo "the device"
ro=$(attach -r other)
assert_refused 5 "attached read-only" qcowctl rebase -b b -F raw "$ro"
assert_refused 5 "attached read-only" qcowctl rebase -u -b b -F raw other
second=$(attach -r other)
assert_refused 5 "is attached 2 times, read-only, and cannot be rebased" \
	qcowctl rebase -b b -F raw other
detach "$ro" "$second"
qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on with-data 1M
with_data=$(attach with-data)
for option in -b "-u -b"; do
	# shellcheck disable=SC2086 # several words
	assert_refused 5 "has a raw external data file, and can have no backing file" \
		qcowctl rebase $option b -F raw "$with_data"
done
detach "$with_data"
qemu-img create -q -f qcow2 -o data_file=data with-data 1M
with_data=$(attach with-data)
assert_refused 4 "is already in the chain, as .*data: a loop" \
	qcowctl rebase -b data -F raw "$with_data"
assert_refused 6 "data: is in use" qcowctl rebase -b data -F raw "$dev"
detach "$with_data"
qemu-img create -q -f qcow -b a -F raw one 1M
one=$(attach --backing-format raw one)
assert_refused 7 "the format of its backing file '.*b' is not stated" qcowctl rebase -b b "$one"
assert_refused 1 "has 1024 bytes" qcowctl rebase -u -b "$(printf '%01024d' 0)" "$one"
qcowctl rebase -u -b b "$one"
qcowctl rebase -b b -F raw "$one"
cmp "$one" a
detach "$one"
assert_clean with-data one
unchanged

echo "snapshots"
qcowctl snapshot -c one "$dev"
beside=$(attach --snapshot one image)
assert_refused 5 "attached read-only" qcowctl rebase -b b -F raw "$beside"
output=$(qcowctl rebase -b b -F raw image 2>&1)
assert_eq "$output" "qcowctl: image: warning: what its snapshots (1) do not have themselves is\
 read from the new backing file from now on"
cmp "$dev" raw
# what is attached goes on with what it has
cmp "$beside" raw
detach "$beside"
output=$(qcowctl rebase -q -b a -F raw image 2>&1)
output+=$(qcowctl rebase -u -b a -F raw image 2>&1)
assert_eq "$output" ""
unchanged
qcowctl snapshot -d one "$dev"

echo "descriptors"
qemu-img create -q -f qcow2 -b a -F raw over-a 1M
python - "${dev#/dev/qcow}" <<'PY'
import errno
import os
import sys

import qcowdev as q
from qcowdev import expect

index = int(sys.argv[1])
b = os.open("b", os.O_RDONLY)
other = os.open("other", os.O_RDONLY)
names = {"label": b"b", "form": b"raw"}
layer = (b, -1, q.RAW)
expect("closed", q.rebase(index, (99, -1, q.RAW), **names), errno.EBADF, "descriptor 99")
expect("no layer", q.rebase(index, **names), errno.EINVAL)
expect("a layer without a name", q.rebase(index, layer), errno.EINVAL)
expect("a layer with names only", q.rebase(index, layer, flags=1, **names), errno.EINVAL)
expect("a format without a name", q.rebase(index, form=b"raw"), errno.EINVAL)
expect("another header", q.rebase(index, (other,), digests=(1,), label=b"other", form=b"qcow2"),
       errno.ESTALE, "has changed")
above = os.open("over-a", os.O_RDONLY)
expect("another header above a layer that is there", q.rebase(
    index, (above,), (os.open("a", os.O_RDONLY), -1, q.RAW), digests=(1, 0), label=b"over-a",
    form=b"qcow2"), errno.ESTALE, "has changed")
expect("no image", q.rebase(index, (b,), **names), errno.EINVAL)
expect("the image", q.rebase(index, (os.open("image", os.O_RDONLY),), label=b"x", form=b"qcow2"),
       errno.ELOOP)
q.finish()
PY
unchanged
detach "$dev"
assert_clean image
assert_image_is raw image
