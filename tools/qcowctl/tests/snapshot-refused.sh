#!/bin/bash
# What cannot be done is refused by name, and the file stays as it is.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# refuse STATUS PATTERN ARGUMENT...: on image
refuse() {
	cp image before
	expect "$1" "$2" snapshot "${@:3}" image
	[[ ! -s out ]] || die "it prints: $(cat out)"
	cmp image before
}
expect "$USAGE" 'one of -l, -c, -a and -d' snapshot image
expect "$USAGE" '-l and -c exclude each other' snapshot -l -c x image
expect "$USAGE" 'exclude each other' snapshot -c x -d y image
expect "$USAGE" 'only with -l' snapshot -c x --output json image
expect "$USAGE" 'one image is wanted, 2 given' snapshot -l a b
expect "$NOT_FOUND" 'No such file' snapshot -c x absent

create qcow image 1M
refuse "$UNSUPPORTED" 'version 1 has no snapshots' -c one
head -c 1M /dev/zero >image
refuse "$NOT_QCOW" 'not a QCOW image' -c one
create qcow2 -o data_file=data image 1M
refuse "$UNSUPPORTED" 'external data file' -c one
rm image data

create qcow2 image 8M
io image qcow2 'write -P 1 0 1M'
qemu-img snapshot -c one image
qemu-img snapshot -c 1 image
refuse "$NOT_FOUND" "no snapshot with the id or name 'other'" -a other
grep -q "has snapshot 2 '1'" err
refuse "$NOT_FOUND" "no snapshot with the id or name '3'" -d 3
refuse "$USAGE" 'the name has 256 bytes' -c "$(printf '%0256d' 0)"
"$QCOWCTL" snapshot -c "$(printf '%0255d' 0)" image
"$QCOWCTL" snapshot -d "$(printf '%0255d' 0)" image
# 1 is an id of what is applied, and a name of what is deleted, as in qemu-img
cp image copy
io image qcow2 'write -P 2 0 1M'
qemu-img snapshot -c two image
"$QCOWCTL" snapshot -a 1 image
io image qcow2 'read -P 1 0 1M'
"$QCOWCTL" snapshot -d 1 image
[[ $(qemu-img snapshot -l image | awk 'NR > 2 { print $1 }' | paste -sd' ') == '1 3' ]]
"$QCOWCTL" snapshot -d 1 image
[[ $(qemu-img snapshot -l image | awk 'NR > 2 { print $1 }') == 3 ]]
mv copy image

# others have it
hold image
refuse "$BUSY" 'is in use: another process' -c two
release
hold image -r
refuse "$BUSY" 'is in use' -a one
release
hold_lock ro image
refuse "$BUSY" 'is in use' -d one
release
if [[ $(id -u) -ne 0 ]]; then
	chmod a-w image
	refuse 2 'Permission denied' -d one
	chmod u+w image
fi

# damaged in any way that check knows; a leak is no damage
for fault in $(python3 "$here/fault.py" --list); do
	create qcow2 image 1100M
	io image qcow2 'write -P 1 0 200K' 'write -P 2 600M 200K'
	python3 "$here/fault.py" "$fault" image
	status=0
	"$QCOWCTL" check image >/dev/null 2>&1 || status=$?
	if [[ $status -eq 2 ]]; then
		refuse "$BAD_IMAGE" 'not changed|corrupt|refcount table' -c one
		grep -q 'qcowctl: try: qcowctl check -r all image' err ||
			[[ $fault == table-* ]] || die "$fault: $(cat err)"
	elif [[ $fault == leak* ]]; then
		"$QCOWCTL" snapshot -c one image
		status=0
		qemu-img check -q image || status=$?
		[[ $status -eq 3 ]] || die "$fault: status $status afterwards"
	fi
done

# bitmaps: what is applied would not be what they say; the others do no harm
create qcow2 image 8M
qemu-img bitmap --add image b
"$QCOWCTL" snapshot -c one image
refuse "$UNSUPPORTED" 'has 1 bitmaps' -a one
"$QCOWCTL" snapshot -d one image
qemu-img check -q image
qemu-img info image | grep -q 'name: b'
# autoclear bits of others are cleared, as by any writer
create qcow2 image 8M
poke image 88 8000000000000000
"$QCOWCTL" snapshot -c one image
[[ $(dd if=image bs=1 skip=88 count=8 status=none | od -An -tx8) =~ ^\ 0+$ ]]

# a snapshot by an old program has no size of its own, and would get another one
create qcow2 -o compat=0.10 image 8M
qemu-img snapshot -c one image
qemu-img snapshot -c two image
python3 - image <<'PY'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(64)
    at = struct.unpack(">Q", f.read(8))[0]
    f.seek(at)
    entry = f.read(40)
    extra, name = struct.unpack(">I", entry[36:])[0], sum(struct.unpack(">HH", entry[12:16]))
    at += (40 + extra + name + 7) // 8 * 8
    f.seek(at + 36)
    f.write(struct.pack(">I", 0))
PY
poke image 24 0000000000700000
refuse "$UNSUPPORTED" 'snapshot table entry 1, .*, has no size of its own' -a one
poke image 24 0000000000800000
"$QCOWCTL" snapshot -a one image

# counts that are too narrow
for bits in 1 2 4; do
	most=$(((1 << bits) - 1))
	create qcow2 -o "refcount_bits=$bits" image 8M
	io image qcow2 'write -P 1 0 100K'
	for ((n = 1; n < most; n++)); do
		"$QCOWCTL" snapshot -c "n$n" image
		qemu-img check -q image
	done
	refuse "$UNSUPPORTED" \
		"would have $((most + 1)) references, a count of $bits bits holds $most" -c more
	# neither more nor less
	[[ $bits -eq 1 ]] || "$QCOWCTL" snapshot -a n1 image
	qemu-img check -q image
done
# an image without data has no such count
create qcow2 -o refcount_bits=1 image 8M
"$QCOWCTL" snapshot -c one image
"$QCOWCTL" snapshot -a one image
"$QCOWCTL" snapshot -d one image
qemu-img check -q image

# no id is left
create qcow2 image 1M
qemu-img snapshot -c one image
python3 - image <<'PY'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(64)
    at = struct.unpack(">Q", f.read(8))[0]
    f.seek(at + 12)
    f.write(struct.pack(">HH", 20, 0))
    f.seek(at + 64)
    f.write(b"18446744073709551615")
PY
refuse "$UNSUPPORTED" 'the highest id' -c two
