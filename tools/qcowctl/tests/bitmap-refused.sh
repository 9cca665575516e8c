#!/bin/bash
# What cannot be done with a bitmap is refused by name, and the file stays as it is; so is a directory
# that cannot be understood. Extra data of an entry stay.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# refuse STATUS PATTERN ARGUMENT... NAME: on image
refuse() {
	cp image before
	expect "$1" "$2" bitmap "${@:3:$#-3}" image "${@: -1}"
	[[ ! -s out ]] || die "it prints: $(cat out)"
	cmp image before
}
# refuse_map STATUS PATTERN NAME: nothing that could be taken for all that has changed
refuse_map() {
	expect "$1" "$2" map --output json --bitmap "$3" image
	[[ ! -s out ]] || die "it prints: $(cat out)"
}
# bend NAME FIELD VALUE: image, a copy of base, says something else
bend() {
	cp base image
	python3 "$here/bitmaps.py" image "$@"
}

create qcow image 1M
refuse "$UNSUPPORTED" 'version 1 has no bitmaps' --add b
create qcow2 -o compat=0.10 image 1M
refuse "$UNSUPPORTED" 'version 2 has no bitmaps' --remove b
refuse_map "$UNSUPPORTED" 'version 2 has no bitmaps' b
head -c 1M /dev/zero >image
refuse "$NOT_QCOW" 'not a QCOW image' --add b
create qcow2 image 0
refuse "$UNSUPPORTED" 'a disk of 0 bytes has no bitmaps' --add b
create qcow2 image 1P
refuse "$USAGE" 'a bitmap of 1125899906842624 bytes takes over 536870912' --add -g 512 b
grep -q 'try: a larger --granularity' err

create qcow2 -o cluster_size=4K base 1M
qemu-img bitmap --add base one
qemu-img bitmap --add -g 512 base two
io base qcow2 'write 10K 20K'
cp base image
refuse_map "$NOT_FOUND" "no bitmap with the name 'b'" b
refuse "$NOT_FOUND" "no bitmap with the name 'b'" --remove b
grep -q "has bitmap 'one'" err
refuse "$USAGE" "has a bitmap 'one' already" --add one
refuse "$USAGE" "has a bitmap 'b' already" --add --add b
refuse "$NOT_FOUND" "no bitmap with the name 'none'" --add --merge none b
refuse "$NOT_FOUND" "no bitmap with the name 'one'" --remove --clear one
for size in 256 1000 4G; do
	refuse "$USAGE" 'not a power of 2 from 512 to 2147483648' --add -g $size b
done
create qcow2 other 2M
qemu-img bitmap --add other far
refuse "$UNSUPPORTED" 'is a disk of 1048576 bytes, .* has 2097152' --merge far -b other one
refuse "$NOT_FOUND" 'No such file' --merge far -b absent one
hold image
refuse "$BUSY" 'is in use' --add b
release
hold other
refuse "$BUSY" 'is in use' --merge far -b other one
release
for fault in dirty corrupt-bit; do
	cp base image
	python3 "$here/fault.py" "$fault" image
	refuse "$BAD_IMAGE" 'is marked' --add b
done

# inconsistent: it can be removed and nothing else
bend one flags 3
for action in --clear --enable --disable '--merge two'; do
	# shellcheck disable=SC2086 # the action and its argument
	refuse "$BAD_IMAGE" "bitmap 'one' is inconsistent" $action one
	grep -q 'try: qcowctl bitmap --remove image one' err
done
refuse "$BAD_IMAGE" "bitmap 'one' is inconsistent" --merge one two
refuse_map "$BAD_IMAGE" "bitmap 'one' is inconsistent" one
"$QCOWCTL" map --bitmap two image >out
"$QCOWCTL" bitmap --remove image one
qemu-img check -q image

# entries that cannot be understood, which refuse all
while read -r name field value pattern; do
	bend "$name" "$field" "$value"
	refuse "$BAD_IMAGE" "$pattern" --add b
	refuse "$BAD_IMAGE" "$pattern" --remove one
	refuse_map "$BAD_IMAGE" "$pattern" two
done <<'END'
one type 2 bitmap "one": type 0x2
one flags 8 bitmap "one": reserved flags 0x8
one granularity_bits 64 granularity_bits 0x40
one table_offset 0 bitmap table
one table_offset 512 bitmap table
one table_offset 0x100000000 bitmap table
one table_entries 0 bitmap_table_size 0x0
one table_entries 0xffffffff bitmap table
- nr 0 0 bitmaps, must be 1 to 65535
- nr 65536 65536 bitmaps, must be
- nr 1 bytes that are left
- nr 3 too short for 3|the directory ends before it
- reserved 1 reserved field
- dir_offset 0 bitmap directory
- dir_offset 0x10000000000 bitmap directory
- dir_bytes 24 too short for 2
END
# tables that cannot be, of which others know nothing
bend two entry 0x3
refuse_map "$BAD_IMAGE" 'table entry with wrong bits: 0x3' two
refuse "$BAD_IMAGE" 'is corrupt in' --add b
bend two entry 0x10000000
refuse_map "$BAD_IMAGE" 'cannot read bits of a bitmap at 0x10000000' two
refuse "$BAD_IMAGE" 'corrupt|not changed' --remove two
bend two granularity_bits 0
refuse_map "$BAD_IMAGE" 'has a table of 1 entries, 32 are needed' two
# all of it has changed
bend two entry 1
[[ $("$QCOWCTL" map --bitmap two --output json image) == \
	'[{ "start": 0, "length": 1048576}]' ]]
# no extension, or one that is void
cp base image
at=$(python3 - <<'PY'
print(open("image", "rb").read(4096).index(bytes.fromhex("23852875")))
PY
)
poke image "$at" 12345678
refuse "$BAD_IMAGE" 'no header extension "bitmaps"' --add b
cp base image
poke image 88 0000000000000000
refuse "$NOT_FOUND" "no bitmap with the name 'one'" --remove one
"$QCOWCTL" bitmap --add image one
[[ $(python3 "$here/bitmaps.py" image) == 'one 4096 2 - []' ]]
# nothing is lost but what had been lost before
status=0
qemu-img check -q image || status=$?
[[ $status -eq 3 ]]

# extra data stay, and what they are is not known
bend one extra 0102030405
before=$(python3 "$here/bitmaps.py" image | grep '^one')
refuse "$UNSUPPORTED" '5 bytes of extra data of an unknown kind' --clear one
"$QCOWCTL" bitmap --add --merge two image b
"$QCOWCTL" bitmap --remove image two
[[ $(python3 "$here/bitmaps.py" image | grep '^one') == "$before" ]]
bend one extra 0102030405
python3 "$here/bitmaps.py" image one flags 6
"$QCOWCTL" bitmap --disable --clear --merge two image one
[[ $(python3 "$here/bitmaps.py" image | grep '^one') == 'one 4096 4 0102030405 [[8192, 32768]]' ]]
"$QCOWCTL" bitmap --remove image one
"$QCOWCTL" check -q image
qemu-img check -q image
# autoclear bits of others are cleared, as by any writer
cp base image
poke image 88 8000000000000001
"$QCOWCTL" bitmap --clear image one
[[ $(dd if=image bs=1 skip=88 count=8 status=none | od -An -tx1) == ' 00 00 00 00 00 00 00 01' ]]
