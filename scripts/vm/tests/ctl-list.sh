#!/bin/bash
# Every column of list is what sysfs has, in every form of output.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

assert_eq "$(qcowctl list)" '' "list of nothing"
truncate -s 1M base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw image 3M
qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=off,cluster_size=4K other 2G
image_io qcow2 other "write 0 64K"
qemu-img convert -c -f raw -O qcow2 base.raw packed
image_io qcow2 packed "write -c -P 1 512K 64K"
one=$(attach -r image)
two=$(attach -r --device qcow12 --queue-depth 64 --nr-queues 1 --cache-size 2M other)
three=$(attach -r packed)
cat "$one" "$three" >/dev/null
dd if="$two" of=/dev/null bs=64K count=1 status=none

qcowctl list -J -O >list.json
qcowctl list -b -O --raw >list.raw
qcowctl list -n -o NAME >list.names
qcowctl list >list.text
assert_eq "$(qcowctl list -o name,size -b)" "$(printf '%-11s %10s\n' NAME SIZE \
	"$one" 3145728 "$three" 1048576 "$two" 2147483648)" "aligned columns"
assert_eq "$(tr '\n' ' ' <list.names)" "$one $three $two " "names alone"
assert_match "$(head -n 1 list.text)" '^NAME +SIZE +RO +VERSION +SNAPSHOT-ID +SNAPSHOT +DEPTH +IMAGE$'
assert_match "$(grep qcow12 list.text)" '^/dev/qcow12 +2G +1 +3 .* 1 .*/other$'
assert_match "$(qcowctl list -o +DIO "$one" | head -n 1)" 'IMAGE +DIO$'
assert_fails "no column 'nonsense'" qcowctl list -o nonsense
assert_status 1 qcowctl list -J --raw

python - <<'PY'
import json
import os

names = {"SIZE": "size", "RO": "ro", "MAJ:MIN": "dev", "CLUSTER": "qcow/cluster_size",
         "DIO": "qcow/direct_io", "SNAPSHOT-ID": "qcow/snapshot_id",
         "SNAPSHOT": "qcow/snapshot_name", "QUEUES": "qcow/nr_queues", "INFLATED": "qcow/inflated_bytes",
         "COPIED": "qcow/copied_bytes", "ATTACHED": "qcow/attached_ns"}
booleans = ("RO", "DIO", "LAZY")
texts = ("NAME", "SNAPSHOT-ID", "SNAPSHOT", "IMAGE", "IMAGE-ID", "BACKING", "BACKING-FORMAT", "DATA-FILE",
         "DATA-FILE-ID", "DETECT-ZEROES", "COMPRESS", "ENCRYPTION", "STORE", "JOB", "MAJ:MIN")

with open("list.json") as f:
    devices = json.load(f)["qcowdevices"]
with open("list.raw") as f:
    heads = f.readline().split()
    rows = [line.rstrip("\n").split(" ") for line in f]
assert [d["name"] for d in devices] == ["/dev/qcow0", "/dev/qcow1", "/dev/qcow12"], devices
assert len(heads) == len(devices[0]) >= 20, heads
# every attribute of the driver has a column
shown = {names.get(h, "qcow/" + h.lower().replace("-", "_")) for h in heads}
shown |= {"qcow/job_done", "qcow/job_total"}
missing = {"qcow/" + name for name in os.listdir("/sys/block/qcow0/qcow")} - shown
assert not missing, missing
for device, row in zip(devices, rows):
    for head in heads:
        value = device[head.lower()]
        if head == "NAME":
            continue
        attr = names.get(head, "qcow/" + head.lower().replace("-", "_"))
        with open(f"/sys/block/{device['name'][5:]}/{attr}") as f:
            want = f.read().strip()
        if head == "SIZE":
            want = str(int(want) * 512)
        raw = row[heads.index(head)]
        assert raw == want, (device["name"], head, raw, want)
        if head in booleans:
            want = want == "1"
        elif head not in texts:
            want = int(want)
        assert value == (want if want != "" else None), (device["name"], head, value, want)
assert devices[2]["queue-depth"] == 64 and devices[2]["cache-limit"] == 2 << 20
assert devices[1]["inflated"] > 0 and devices[1]["cache-misses"] > 0, devices
assert devices[1]["decompressed"] > 0 and devices[0]["decompressed"] == 0, devices
assert devices[0]["attached"] < devices[2]["attached"] < devices[1]["attached"], devices
assert devices[2]["data-file"].endswith("/data.raw") and devices[0]["depth"] == 2
assert [d["backing-format"] for d in devices] == ["raw", None, None], devices
PY
qcowctl detach --all
