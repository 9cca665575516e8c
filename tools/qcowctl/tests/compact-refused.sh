#!/bin/bash
# What is not compacted is refused by name, and stays as it is.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# refuse STATUS PATTERN ARGUMENT...: on image
refuse() {
	cp image before
	expect "$1" "$2" compact "${@:3}" image
	[[ ! -s out ]] || die "it prints: $(cat out)"
	cmp image before
}
expect "$USAGE" 'one image is wanted, 0 given' compact
expect "$USAGE" 'one image is wanted, 2 given' compact a b
expect "$USAGE" "'lzo' is neither zlib nor zstd" compact --compress lzo a
expect "$USAGE" 'no size' compact --rate x a
expect "$USAGE" 'none of bar, json, none' compact --progress x a
expect "$NOT_FOUND" 'no such device, and no attached image' compact absent
head -c 1M /dev/zero >image
refuse "$NOT_QCOW" 'not a QCOW image'
create qcow image 1M
refuse "$UNSUPPORTED" 'version 1 is not compacted'
grep -q 'try: qemu-img convert -f qcow -O qcow2 image NEW' err
create_luks image 1M
refuse "$UNSUPPORTED" 'is encrypted: its data cannot be moved'
create qcow2 image 1M
hold image
refuse "$BUSY" 'is in use: another process'
release
hold_lock ro image
refuse "$BUSY" 'is in use'
release
for fault in dirty corrupt-bit low-data copied-clear-l2 reserved-l2 beyond-l2; do
	create qcow2 image 1M
	io image qcow2 'write -P 1 0 200K'
	python3 "$here/fault.py" "$fault" image
	refuse "$BAD_IMAGE" 'is marked|is corrupt|not changed'
	grep -q 'qcowctl: try: qcowctl check -r all image' err || die "$fault: $(cat err)"
done

create qcow2 -o data_file=data image 1M
refuse "$UNSUPPORTED" 'has an external data file: that has no compressed clusters' --compress zlib
create qcow2 -o refcount_bits=1 image 1M
refuse "$UNSUPPORTED" 'counts of 1 bit: compressed clusters cannot share' --compress zlib
create qcow2 -o compat=0.10 image 1M
refuse "$UNSUPPORTED" 'version 2 has no compression type zstd' --compress zstd
# another type, when there is something of the one, if only in a snapshot
for type in zlib zstd; do
	other=zstd
	[[ $type == zlib ]] || other=zlib
	create qcow2 -o compression_type=$type image 1M
	io image qcow2 'write -c -P 1 0 64K' 'write -P 2 512K 64K'
	qemu-img snapshot -c one image
	refuse "$UNSUPPORTED" "are compressed with $type, and none can be with $other" \
		--compress $other
	io image qcow2 'discard 0 64K'
	refuse "$UNSUPPORTED" "are compressed with $type, and none can be with $other" \
		--compress $other
	qemu-img snapshot -d one image
	"$QCOWCTL" compact -q --compress $other image
	qemu-img info image | grep -q "compression type: $other"
	qemu-img check -q image
	io image qcow2 'read -P 2 512K 64K'
done
# a header that was made before there were types
create qcow2 image 1M
python3 -c '
import struct
with open("image", "r+b") as f:
    head = f.read(1024)
    f.seek(100)
    f.write(struct.pack(">I", 104) + head[112:1016])'
qemu-img check -q image
refuse "$UNSUPPORTED" 'its header of 104 bytes has no room for the compression type zstd' \
	--compress zstd
"$QCOWCTL" compact -q --compress zlib image
