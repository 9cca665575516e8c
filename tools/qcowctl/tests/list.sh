#!/bin/bash
# list shows what sysfs says, in every form.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

device() {
	local dir=root/sys/block/$1 pair
	mkdir -p "$dir/qcow"
	shift
	for pair in "$@"; do
		printf '%s\n' "${pair#*=}" >"$dir/${pair%%=*}"
	done
}
mkdir -p root/sys/block/loop0 root/sys/block/sda
device qcow10 size=16 ro=1 dev=259:7 qcow/version=2 qcow/snapshot_id=1 qcow/snapshot_name=nightly qcow/depth=2 \
	qcow/image=/images/b.qcow2 qcow/backing=/images/base.raw qcow/cluster_size=65536 \
	qcow/direct_io=0 qcow/lazy=1 qcow/store=file
device qcow2 size=2097152 ro=0 dev=259:0 qcow/version=3 qcow/snapshot_id= qcow/snapshot_name= qcow/depth=1 \
	'qcow/image=/images/with a space' qcow/backing= qcow/data_file= qcow/direct_io=1 \
	qcow/lazy=0 qcow/cache_limit=33554432
list() { "$QCOWCTL" list --sysroot root "$@"; }

list >out
[[ $(awk '{ print $1, $2 }' out | paste -sd,) == 'NAME SIZE,/dev/qcow2 1G,/dev/qcow10 8K' ]]
[[ $(list -n | wc -l) -eq 2 ]]
[[ $(list -n --raw -o NAME,SIZE) == $'/dev/qcow2 1073741824\n/dev/qcow10 8192' ]]
[[ $(list -n --raw -o image qcow2) == '/images/with\x20a\x20space' ]]
[[ $(list -n --raw -o NAME,SNAPSHOT-ID,SNAPSHOT /dev/qcow10) == '/dev/qcow10 1 nightly' ]]
[[ $(list -n -b -o SIZE qcow10) == 8192 ]]
[[ $(list -n --raw -o +STORE qcow10 | wc -w) -eq 9 ]]
list -J -O | python3 -c '
import json, sys
a, b = json.load(sys.stdin)["qcowdevices"]
assert a["name"] == "/dev/qcow2" and a["size"] == 1 << 30, a
assert a["ro"] is False and b["ro"] is True and b["lazy"] is True, (a, b)
assert a["snapshot"] is None and a["backing"] is None and a["cache-limit"] == 32 << 20, a
assert b["snapshot-id"] == "1" and b["snapshot"] == "nightly" and b["depth"] == 2 and b["maj:min"] == "259:7", b
'
# an image that is named, by which file it is; a name that is gone as sysfs has it
touch image unknown
stat -c '%Hd:%Ld:%i' image >root/sys/block/qcow2/qcow/image_id
ln -s image link
[[ $(list -n --raw -o NAME link) == /dev/qcow2 ]]
[[ $(list -n --raw -o NAME,IMAGE-ID qcow2 image) == "/dev/qcow2 $(stat -c '%Hd:%Ld:%i' image)" ]]
[[ $(list -n --raw -o NAME /images/b.qcow2) == /dev/qcow10 ]]
[[ $(list -n --raw -o NAME /images/b.qcow2 image | paste -sd' ') == '/dev/qcow2 /dev/qcow10' ]]
expect "$NOT_FOUND" 'unknown: no such device, and no attached image' list --sysroot root unknown qcow2
[[ $(wc -l <out) -eq 2 ]]
expect "$NOT_FOUND" 'qcow3: no such device' list --sysroot root qcow3
mkdir -p none/sys/block
[[ -z $("$QCOWCTL" list --sysroot none) ]]
"$QCOWCTL" list --sysroot none -J | python3 -c '
import json, sys
assert json.load(sys.stdin) == {"qcowdevices": []}
'
