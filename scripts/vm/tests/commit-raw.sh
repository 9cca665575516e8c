#!/bin/bash
# What a device has goes into a raw backing file while it is written to: the device keeps its image,
# which has nothing of its own afterwards. The backing file is a file or a block device, shorter or
# longer than the disk; it is written to where its owner is that of the image, or the user allows it.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

readonly MIB=$((1 << 20))

# begin FORMAT OPTIONS: an image on base, attached and written to; disk has its bytes
begin() {
	local options=()
	[[ $2 == - ]] || options=(-o "$2")
	rm -f image image.data stop
	qemu-img create -q -f "$1" "${options[@]}" -b base -F raw image 40M
	image_io "$1" image "write -P 7 3M 1M" "write -P 8 22M 64K" "write -P 0 24M 1M" \
		"write -P 9 38M 64K"
	[[ $1 == qcow ]] || image_io "$1" image "write -z 12M 3M"
	qemu-img convert -f "$1" -O raw image disk
	dev=$(attach --backing-format raw --allow-backing "$allowed" image)
	assert_attr "$dev" backing_format raw
	writer & writers=("$!")
}

# end FORMAT BASE-BYTES: nobody writes any more; the base has all
end() {
	touch stop
	wait "${writers[@]}" || fail "a writer"
	qcowctl commit --allow-backing "$allowed" "$dev"
	cmp "$dev" disk
	detach "$dev"
	assert_clean image
	assert_image_is disk image "$1"
	cmp -n $((40 * MIB)) disk base
	[[ $(blockdev --getsize64 base 2>/dev/null || stat -L -c %s base) -eq $2 ]] ||
		fail "the base has $(stat -L -c %s base) bytes"
	# all that it reads is the base's
	[[ $1 == qcow ]] || qemu-img map --output json image | python3 -c 'import json, sys
sys.exit(any(e["depth"] == 0 and e.get("present", True) for e in json.load(sys.stdin)))'
}

# into BASE-BYTES FORMAT OPTIONS: the base keeps what it has behind the disk
into() {
	local bytes=$(($1 > 40 * MIB ? $1 : 40 * MIB))
	rm -f base
	fill base "$1"
	cp base before
	begin "$2" "$3"
	sleep 1
	qcowctl commit "$dev"
	assert_attr "$dev" depth 2
	assert_attr "$dev" image "$PWD/image"
	assert_attr "$dev" job ""
	sleep 1
	end "$2" "$bytes"
	[[ $1 -le $((40 * MIB)) ]] || cmp -n $((bytes - 40 * MIB)) -i $((40 * MIB)) before base
}

allowed=$PWD
random_seed
cases=(
	"$((30 * MIB + 512)) qcow2 -"
	"$((30 * MIB + 100)) qcow2 extended_l2=on,cluster_size=32K"
	"$((50 * MIB)) qcow2 cluster_size=2M"
	"$((40 * MIB)) qcow2 cluster_size=512,refcount_bits=64"
	"$((40 * MIB)) qcow2 compat=0.10,cluster_size=4K"
	"$((20 * MIB)) qcow2 data_file=image.data"
	"$((40 * MIB)) qcow -"
)
one_in 4 cases
for case in "${cases[@]}"; do
	echo "$case"
	read -r -a words <<<"$case"
	into "${words[@]}"
done

# zeros in a file are holes; data that is there is not
rm -f base image
fill base 8M
qemu-img create -q -f qcow2 -b base -F raw image 16M
image_io qcow2 image "write -z 1M 2M" "write -P 3 12M 64K"
dev=$(attach image)
qcowctl commit "$dev"
detach "$dev"
[[ $(($(stat -c '%b * %B' base))) -le $((6 * MIB + 256 * 1024)) ]] || fail "the base takes $(stat -c %b base)"
assert_clean image

# shares KIND: on a file system that can, space is shared until the image has given back its part
shares() {
	"mkfs.$1" -q -f /dev/ram1 >mkfs.log 2>&1 || fail "$(<mkfs.log)"
	mkdir -p there
	mount /dev/ram1 there
	truncate -s 64M there/base
	qemu-img create -q -f qcow2 -b base -F raw there/image 64M
	fill data 48M
	image_io qcow2 there/image "write -q -s data 0 48M" "write -P 8 60M 4K"
	dev=$(attach there/image)
	sync -f there
	# 48 MiB more would not fit
	fallocate -l "$(($(stat -f -c '%a * %S' there) - 24 * MIB))" there/ballast
	qcowctl commit "$dev"
	cmp -n 48M data there/base
	detach "$dev"
	umount there
}
modprobe btrfs
modprobe xfs
for kind in xfs btrfs; do
	shares "$kind"
done

# a block device: only one that the user allows, that is long enough, and that is not mounted
modprobe null_blk
ram_disk base40 40
ram_disk base30 30
allowed=/dev
rm -f base
ln -s /dev/base40 base
begin qcow2 -
assert_refused 7 "image: backing file '/dev/base40' is a block device, which an image cannot name" \
	qcowctl commit "$dev"
qcowctl commit --allow-backing /dev/base40 "$dev"
end qcow2 $((40 * MIB))
assert_refused 7 'backing file' qcowctl commit image
image_io qcow2 image "write -P 5 5M 3M"
qemu-img convert -O raw image disk
qcowctl commit -q --allow-backing /dev/base40 image
cmp disk /dev/base40
mkfs.ext4 -q /dev/base40
mkdir -p mnt
mount /dev/base40 mnt
dev=$(attach --allow-backing /dev/base40 image)
assert_fails "/dev/base40: cannot open for writing: Device or resource busy" \
	qcowctl commit --allow-backing /dev/base40 "$dev"
detach "$dev"
assert_fails "base: cannot open for writing: Device or resource busy" \
	qcowctl commit --allow-backing /dev/base40 image
umount mnt
qemu-img create -q -f qcow2 -b /dev/base30 -F raw image 40M
dev=$(attach --allow-backing /dev/base30 image)
assert_fails "the backing file, of 31457280 bytes, cannot have 41943040: error -28" \
	qcowctl commit --allow-backing /dev/base30 "$dev"
detach "$dev"
assert_fails "/dev/base30: is a device of 31457280 bytes, the image has 41943040" \
	qcowctl commit --allow-backing /dev/base30 image

# of another user: the same rule, attached or not
rm -f base
fill base 8M
qemu-img create -q -f qcow2 -b base -F raw image 8M
image_io qcow2 image "write -P 3 1M 64K"
chown 1 base
keep base
dev=$(attach image)
for what in "$dev" image; do
	assert_refused 7 "image: backing file '.*base' belongs to user 1, the image to user 0" \
		qcowctl commit "$what"
	assert_fails "try: --allow-backing $PWD/base, if it may be written to" qcowctl commit "$what"
done
assert_unchanged
qcowctl commit --allow-backing base "$dev"
detach "$dev"
qemu-img compare -q -F raw image base || fail "not committed"

# slow, interrupted, cancelled: what the base has got does not show
rm -f base
fill base 30M
allowed=$PWD
begin qcow2 -
running() { [[ $(attr "$dev" job) == commit ]]; }
copied() { [[ $(attr "$dev" job_done) -gt $MIB ]]; }
qcowctl commit --rate 100K "$dev" & pid=$!
wait_for 20 running
kill "$pid"
! wait "$pid" || fail "interrupted, and it says that all is done"
qcowctl commit --rate 100K "$dev" 2>errors & pid=$!
wait_for 20 running
wait_for 20 copied
qcowctl job --cancel "$dev"
! wait "$pid" || fail "cancelled, and it says that all is done"
grep -q "commit has been cancelled" errors
# the base can be shared again, and then it is not written to
qemu-img create -q -f qcow2 -b base -F raw beside 40M
other=$(attach beside)
assert_fails "base.* in use" qcowctl commit "$dev"
detach "$other"
assert_fails "image: stays in use on a raw backing file" qcowctl commit --drop "$dev"
end qcow2 $((40 * MIB))

# refused: of an image with snapshots
qemu-img create -q -f qcow2 -b base -F raw image 40M
qemu-img snapshot -c one image
dev=$(attach image)
assert_fails "has 1 snapshots" qcowctl commit "$dev"
detach "$dev"
