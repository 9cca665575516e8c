#!/bin/bash
# list tells what is attached, from sysfs.
# kernels: 6.12 7.3
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

truncate -s 1M base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw -o cluster_size=4K image 2M
qemu-img snapshot -c one image
dev=$(attach -r image)
snap=$(attach --snapshot one --direct-io off image)

qcowctl list -J -O >list.json
python3 - "$PWD" "$dev" "$snap" <<'PY'
import json
import sys

home, dev, snap = sys.argv[1:]
a, b = json.load(open("list.json"))["qcowdevices"]
want = {
    "name": dev, "size": 2 << 20, "ro": True, "version": 3, "snapshot": None, "depth": 2,
    "image": home + "/image", "backing": home + "/base.raw", "data-file": None,
    "cluster": 4096, "dio": True, "lazy": False, "store": "file", "queue-depth": 128,
    "cache-limit": 32 << 20,
}
wrong = {k: (a[k], v) for k, v in want.items() if a[k] != v}
assert not wrong, wrong
assert b["name"] == snap and b["dio"] is False, b
assert b["snapshot-id"] == "1" and b["snapshot"] == "one", b
without = ("snapshot", "snapshot-id", "data-file", "data-file-id", "job")
missing = [k for k, v in a.items() if v is None and k not in without]
assert not missing, f"no attribute for {missing}"
PY
assert_eq "$(qcowctl list -n --raw -o NAME,DEPTH "$dev")" "$dev 2" "one device"
assert_status 9 qcowctl list qcow9
qcowctl detach --all
