#!/bin/bash
# info --dump of a device has the tables of its image, while it is attached and by any path; what is
# shown of an image that a device writes to comes with a warning.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 64M
dev=$(attach image)
dd if=/dev/urandom of="$dev" bs=64K seek=3 count=2 oflag=direct conv=fsync status=none
qcowctl info --dump --output json "$dev" >by-device.json
qcowctl info --dump "$dev" >by-device
# shown WARNING ARGUMENT...
shown() {
	qcowctl "${@:2}" >/dev/null 2>err
	assert_eq "$(cat err)" "$1" "${*:2}"
}
written="is attached to be written to, as $dev:"
warning="$written the file may be behind"
for command in info 'info --dump' map; do
	# shellcheck disable=SC2086 # its words
	shown "qcowctl: image: warning: $warning" $command image
	# shellcheck disable=SC2086
	shown '' $command -U image
done
shown "qcowctl: $PWD/image: warning: $warning" info --dump "$dev"
shown "qcowctl: image: warning: $written checked as it is at this instant" check image
shown '' check -q image
shown '' check "$dev"
dev=$(detach "$dev" && attach -r image)
shown '' info image
shown '' map image
dev=$(detach "$dev" && attach image)
qcowctl rename "$dev" moved
qcowctl info --dump --output json "${dev#/dev/}" >by-name.json
qcowctl info --dump --output json "$PWD/moved" >by-path.json
cmp by-name.json by-path.json || fail "a device and its image differ"
detach "$dev"
qcowctl info --dump --output json "$PWD/moved" >detached.json
python3 - <<'PY'
import json

tables = [[r for r in json.load(open(name + ".json"))["l2_tables"][0]["entries"] if "kind" in r]
          for name in ("by-device", "by-name", "detached")]
assert tables[0] == tables[1] == tables[2], tables
assert [r["index"] for r in tables[0]] == [3, 4], tables[0]
assert all(r["kind"] == "data" and r["copied"] for r in tables[0]), tables[0]
PY
grep -qE '^ +3 guest_offset 0x30000 ' by-device || fail "no entry in: $(cat by-device)"

# an image on a block device that is no device of the driver
dd if=moved of=/dev/ram1 bs=64K conv=fsync status=none
dev=$(attach -r /dev/ram1)
qcowctl info --dump --output json /dev/ram1 >ram.json
qcowctl info --dump --output json "$dev" >ram-device.json
cmp ram.json ram-device.json || fail "a device and its image differ"
detach "$dev"
