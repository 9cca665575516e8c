#!/bin/bash
# Other names in a header: QEMU reads them, and nothing else has changed.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# refuse STATUS PATTERN ARGUMENT...: on image
refuse() {
	cp image before
	expect "$1" "$2" rebase "${@:3}" image
	cmp image before
}
# has NAME FORMAT: what QEMU reads; format none in version 1, both empty: no backing file
has() {
	qemu-img info --output json image | python3 -c '
import json, sys
info = json.load(sys.stdin)
got = info.get("backing-filename", ""), info.get("backing-filename-format", "")
got == tuple(sys.argv[1:]) or sys.exit(f"it has {got}, not {sys.argv[1:]}")' "$1" "$2"
}
# rest: the header without names, all extensions but the format in some order, all tables
rest() {
	"$QCOWCTL" info --dump --output json image | python3 -c '
import json, sys
dump = json.load(sys.stdin)
head = dump["header"]
for key in list(head):
    if key.startswith("backing_file"):
        del head[key]
extensions = [json.dumps(e) for e in dump["extensions"] if e["type"] != "0xe2792aca"]
dump["extensions"] = sorted(extensions)
dump.pop("backing_file", None)
print(json.dumps(dump))'
}

create raw raw 1M
create qcow2 two 1M
long=$(printf '%0300d' 0)
random_seed
kinds=('' compat=0.10 cluster_size=512 cluster_size=2M data_file=data "extended_l2=on,cluster_size=16K")
half kinds
for options in "${kinds[@]}"; do
	create qcow2 ${options:+-o "$options"} image 1M
	[[ $options == *data_file* || $options == compat* ]] || qemu-img bitmap --add image bits
	io image qcow2 'write -P 1 0 64K'
	before=$(rest)
	for name in raw two ./two "$PWD/raw" "$long" raw; do
		format=raw
		[[ $name != *two ]] || format=qcow2
		"$QCOWCTL" rebase -u -b "$name" -F "$format" image >out
		[[ ! -s out ]]
		has "$name" "$format"
		[[ $(rest) == "$before" ]] || die "$options: $name: more has changed"
		"$QCOWCTL" check -q image
		[[ $name != "$long" ]] || continue
		qemu-img check -q image
		same_info qcow2 image --backing-chain
	done
	"$QCOWCTL" rebase --unsafe --backing two --backing-format qcow2 -q image
	# QEMU moves bitmaps
	io image qcow2 'read -P 1 0 64K' 'read -P 0 64K 64K'
	before=$(rest)
	"$QCOWCTL" rebase -u -b '' image
	has '' ''
	[[ $(rest) == "$before" ]] || die "$options: more has changed"
	qemu-img check -q image
	# nothing is written when nothing changes
	cp image before
	"$QCOWCTL" rebase -u -b '' image
	cmp image before
done

# version 1 has no format; a name moves behind the image when the header has no room for it
create qcow -b raw -F raw image
io image qcow 'write -P 1 0 100K'
# QEMU leaves a gap
leaks() {
	"$QCOWCTL" check --output json image 2>/dev/null | grep '"leaks"' || true
}
before=$(leaks)
for name in raw two "$long" raw "$long$long$long" a ''; do
	"$QCOWCTL" rebase -u -b "$name" image
	has "$name" ''
	[[ $(leaks) == "$before" ]] || die "$name: $(leaks)"
done
io image qcow 'read -P 1 0 100K' 'read -P 0 100K 100K'
# of those in the way of the first table, too
create qcow image 1M
io image qcow 'write -P 1 0 100K'
for name in raw "$long" 0123456789 ''; do
	"$QCOWCTL" rebase -u -b "$name" ${name:+-F raw} image
	has "$name" ''
	"$QCOWCTL" check -q image
done
io image qcow 'read -P 1 0 100K' 'read -P 0 100K 100K'

# what is refused
expect "$USAGE" '-b FILE is wanted' rebase -u image
expect "$USAGE" 'one image is wanted, 0 given' rebase -u -b x
expect "$USAGE" "'vmdk' is none of raw, qcow, qcow2" rebase -u -b x -F vmdk image
expect "$USAGE" "'raw' without a backing file" rebase -u -b '' -F raw image
expect "$NOT_FOUND" 'no such device, and no attached image' rebase -u -b '' absent
expect "$NOT_QCOW" 'not a QCOW image' rebase -u -b '' raw
create qcow2 image 1M
refuse "$USAGE" "the format of 'two' is not stated" -u -b two
refuse "$USAGE" 'has 1024 bytes, at most 1023' -u -b "$(printf '%01024d' 0)" -F raw
"$QCOWCTL" rebase -u -b "$(printf '%01023d' 0)" -F raw image
create qcow image 1M
refuse "$USAGE" 'has 1024 bytes, at most 1023' -u -b "$(printf '%01024d' 0)"
"$QCOWCTL" rebase -u -b "$(printf '%01023d' 0)" image
create qcow2 -o cluster_size=512 image 1M
refuse "$UNSUPPORTED" 'the first cluster, 512 bytes, has no room' -u -b "$long$long" -F raw
create qcow2 -o cluster_size=1K image 1M
"$QCOWCTL" rebase -u -b "$(printf '%0490d' 0)" -F raw image
refuse "$UNSUPPORTED" 'no room for a backing file name of 400 bytes beside' \
	-u -b "$(printf '%0400d' 0 | tr 0 x)" -F raw
"$QCOWCTL" rebase -u -b "$long" -F raw image
create qcow2 -o data_file=data,data_file_raw=on image 1M
refuse "$UNSUPPORTED" 'raw external data file' -u -b two -F qcow2
for fault in dirty corrupt-bit; do
	create qcow2 image 1M
	io image qcow2 'write -P 1 0 64K'
	python3 "$here/fault.py" "$fault" image
	refuse "$BAD_IMAGE" 'is marked (dirty|corrupt), not changed' -u -b two -F qcow2
	grep -q 'qcowctl: try: qcowctl check -r all image' err
done
create qcow2 image 1M
hold image
refuse "$BUSY" 'is in use: another process' -u -b two -F qcow2
release
hold image -r
refuse "$BUSY" 'is in use' -u -b two -F qcow2
release
# autoclear bits of others are cleared, as by any writer
poke image 88 8000000000000000
"$QCOWCTL" rebase -u -b two -F qcow2 image
[[ $(dd if=image bs=1 skip=88 count=8 status=none | od -An -tx8) =~ ^\ 0+$ ]]
