#!/bin/bash
# Sizes and images that are refused by name, which stay as they are.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# refuse STATUS PATTERN ARGUMENT...: on image
refuse() {
	cp image before
	expect "$1" "$2" resize "${@:3}" image
	[[ ! -s out ]] || die "it prints: $(cat out)"
	cmp image before
}
expect "$NOT_FOUND" 'no such device, and no attached image' resize 1G absent
head -c 1M /dev/zero >image
refuse "$NOT_QCOW" 'not a QCOW image' 2M
for format in qcow2 qcow; do
	create "$format" image 1M
	io image "$format" 'write -P 1 0 1M'
	refuse "$USAGE" 'new size is 0, must be a multiple of 512' 0 --shrink
	refuse "$USAGE" 'new size is 1048577, must be a multiple of 512' +1
	refuse "$USAGE" 'new size 1048064 is less than the present one, 1048576' 1048064
	grep -q 'try: --shrink' err
	refuse "$USAGE" 'new size 524288 is less' -512K
	refuse "$USAGE" 'has 1048576 bytes, and cannot have 2097152 less' --shrink -2M
	refuse "$USAGE" 'has 1048576 bytes, and cannot have 18446744073709551615 more' \
		+18446744073709551615
	refuse "$USAGE" 'at most' 7E
	refuse "$BAD_IMAGE" 'new size is 512, and guest offset 512 is in use' --shrink 512
	# nothing to do
	cp image before
	"$QCOWCTL" resize +0 image >out
	cmp image before
	hold_lock ro image
	refuse "$BUSY" 'is in use' 2M
	release
done

create qcow2 image 1M
hold image
refuse "$BUSY" 'is in use: another process' 2M
release
# a bitmap that cannot be read cannot get the size; one that is inconsistent need not
qemu-img bitmap --add image b
cp image marked
python3 "$here/bitmaps.py" image b extra 0102030405060708
refuse "$UNSUPPORTED" "bitmap 'b' has 8 bytes of extra data of an unknown kind" 2M
mv marked image
python3 "$here/bitmaps.py" image b flags 3
"$QCOWCTL" resize -q 2M image
qemu-img check -q image
[[ $(python3 "$here/bitmaps.py" image) == 'b 65536 3 '* ]]
create_luks image 1M
refuse "$UNSUPPORTED" 'crypt_method 2: encrypted images are resized when' 2M
for fault in dirty corrupt-bit low-data copied-clear-l2 reserved-l2 beyond-l2; do
	create qcow2 image 1M
	io image qcow2 'write -P 1 0 200K'
	python3 "$here/fault.py" "$fault" image
	refuse "$BAD_IMAGE" 'is marked|is corrupt|not changed' 2M
	grep -q 'qcowctl: try: qcowctl check -r all image' err || die "$fault: $(cat err)"
done
# a backing file is needed to grow
create qcow2 base 1M
create qcow2 -b base -F qcow2 image 1M
rm base
refuse "$NOT_FOUND" "cannot open its backing file 'base'" 2M
"$QCOWCTL" resize -q --shrink 512K image
create qcow2 base 1M
create qcow -b base -F qcow2 image 1M
refuse "$POLICY" 'is not stated, and it is not guessed' 2M
"$QCOWCTL" resize -q --backing-format qcow2 2M image
mkdir other
create qcow2 -b "$PWD/base" -F qcow2 other/image 1M
expect "$POLICY" 'is not inside the directory of the image' resize 2M other/image
"$QCOWCTL" resize -q --allow-backing . 2M other/image
# snapshots without a size of their own
create qcow2 -o compat=0.10 image 1M
qemu-img snapshot -c one image
drop_snapshot_size image
refuse "$UNSUPPORTED" 'snapshot table entry 0, .*, has no size of its own' 2M
# autoclear bits of others are cleared, as by any writer
create qcow2 image 1M
poke image 88 8000000000000000
"$QCOWCTL" resize -q 2M image
[[ $(dd if=image bs=1 skip=88 count=8 status=none | od -An -tx8) =~ ^\ 0+$ ]]
