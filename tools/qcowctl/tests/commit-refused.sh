#!/bin/bash
# What cannot be committed is refused by name, and both files stay as they are.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
# refuse STATUS PATTERN ARGUMENT...: of image on base
refuse() {
	local files=(image base)
	[[ ! -e data ]] || files+=(data)
	sha256sum "${files[@]}" >sums
	expect "$1" "$2" commit "${@:3}" image
	[[ ! -s out ]] || die "it prints: $(cat out)"
	sha256sum --quiet -c sums || die "$2: something has changed"
}
# make [SIZE [BASE-SIZE]]: both, with something in them
make() {
	rm -f image base
	create qcow2 base "${2-1M}"
	io base qcow2 'write -P 1 0 200K'
	create qcow2 -b base -F qcow2 image "${1-1M}"
	io image qcow2 'write -P 2 64K 100K'
}
expect "$NOT_FOUND" 'absent: cannot open' commit absent
expect "$NOT_FOUND" 'qcow77: no such device' commit /dev/qcow77
expect "$USAGE" 'one image is wanted, 2 given' commit a b
expect "$USAGE" "'vmdk' is none of raw, qcow, qcow2" commit --backing-format vmdk image
expect "$USAGE" "'0' is no size" commit --rate 0 image
make
create qcow2 image 1M
refuse "$NOT_FOUND" 'image: has no backing file'
head -c 1M /dev/zero >image
refuse "$NOT_QCOW" 'image: not a QCOW image'
create qcow image 1M
refuse "$NOT_FOUND" 'image: has no backing file'

# what they are
make
qemu-img snapshot -c one image
refuse "$UNSUPPORTED" 'image: has 1 snapshots, which would not be what they are'
make
qemu-img bitmap --add base b
refuse "$UNSUPPORTED" "base: has a bitmap that records, 'b', which would miss what is written"
grep -q 'qcowctl bitmap --disable' err
qemu-img bitmap --disable base b
"$QCOWCTL" commit image
[[ $(python3 "$here/bitmaps.py" base) == 'b '* ]]
make 2M
qemu-img bitmap --add --disable base b
refuse "$UNSUPPORTED" 'base: has persistent bitmaps, and is to get another size'
make
create_luks luks 1M
qemu-img rebase -u -b luks -F qcow2 base
refuse "$UNSUPPORTED" 'luks: crypt_method 2: encrypted images are not committed'
create_luks base 1M
refuse "$UNSUPPORTED" 'base: crypt_method 2'
# old snapshots would get another size
create qcow2 -o compat=0.10 base 1M
qemu-img snapshot -c one base
drop_snapshot_size base
create qcow2 -b base -F qcow2 image 2M
refuse "$UNSUPPORTED" 'base: snapshot table entry 0, .*, has no size of its own'
create qcow2 -o data_file=data base 1M
create qcow2 -b base -F qcow2 image 1M
poke base 60 000000010000000000050000
refuse "$UNSUPPORTED" 'base: has 1 snapshots and an external data file'
rm data

# damage
faults=(dirty corrupt-bit low-data copied-clear-l2 reserved-l2 beyond-l2)
half faults
for fault in "${faults[@]}"; do
	for which in image base; do
		make
		io image qcow2 'write -P 3 0 100K'
		python3 "$here/fault.py" "$fault" "$which"
		refuse "$BAD_IMAGE" "^qcowctl: $which: (is marked|is corrupt|ends)"
		grep -q "qcowctl: try: qcowctl check -r all $which" err || die "$fault: $(cat err)"
	done
done

# who has them
make
hold image
refuse "$BUSY" 'image: is in use: another process'
release
hold base -r
refuse "$BUSY" 'base: is in use: another process uses it and allows no writer'
release
create qcow2 -b base -F qcow2 other 1M
hold other
refuse "$BUSY" 'base: is in use'
release
hold_lock ro image
refuse "$BUSY" 'image: is in use'
release

# where they are
create qcow -b base -F qcow2 image 1M
refuse "$POLICY" 'is not stated, and it is not guessed'
refuse "$BAD_IMAGE" 'states .qcow. for it|QCOW version 3' --backing-format qcow
"$QCOWCTL" commit --backing-format qcow2 image
mkdir other.d
make
create qcow2 -b "$PWD/base" -F qcow2 other.d/image 1M
expect "$POLICY" 'is not inside the directory of the image' commit other.d/image
"$QCOWCTL" commit --allow-backing . other.d/image
make
mv base moved
expect "$NOT_FOUND" "cannot open its backing file 'base'" commit image
# of another user
if [[ $(id -u) -eq 0 ]]; then
	make
	chown 1 base
	refuse "$POLICY" "backing file 'base' belongs to user 1, the image to user 0"
	"$QCOWCTL" commit --allow-backing base image
fi
# what has no name any more cannot be removed
make
ln image linked
"$QCOWCTL" commit --drop image 2>err
grep -q 'image: warning: is removed, but the file has another name' err
qemu-img compare -q linked base
