#!/bin/bash
# stat tells what a device has done, as the block layer and the driver have counted it.
# kernels: 6.12 6.1
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 base 64M
image_io qcow2 base "write -P 1 0 16M"
qemu-img convert -c -O qcow2 base packed
qemu-img create -q -f qcow2 -b packed -F qcow2 image 64M
dev=$(attach --no-partscan image)
other=$(attach -r --no-partscan base)
# what reading tables and partitions has done by now is in the first table
mkfifo table
exec 4<>table
qcowctl stat -J "$dev" 8 2 >&4 &
stat=$!
# until the first one is complete
while IFS= read -r -u 4 line; do [[ $line != '}' ]] || break; done
dd if="$dev" of=/dev/null bs=64K count=64 iflag=direct status=none
# each cluster half by half
dd if=/dev/zero of="$dev" bs=32K count=64 seek=256 oflag=direct conv=notrunc,fsync status=none
# without a look for what could be lost
blkdiscard -f -o $((32 << 20)) -l $((1 << 20)) "$dev"
wait "$stat"
echo end >&4
sed -u '/^end$/Q' <&4 >second
cat second
"$(command -v python3)" - <<'PY'
import json
(d,) = json.load(open("second"))["qcowdevices"]
assert d["name"] == "/dev/qcow0", d
# in eight seconds, and a bit; a flush is a write of nothing, too
want = {"r/s": 64, "w/s": 65, "d/s": 1, "f/s": 1, "rmb/s": 4, "wmb/s": 2, "alloc/s": 32,
        "cmb/s": 1, "inflight": 0}
for key, value in want.items():
    got = d[key] * 8
    assert value * 0.7 - 0.04 <= got <= value * 1.01 + 0.04, (key, got, value)
# those that were read and copied; some may have been there
assert 48 <= d["decomp/s"] * 8 <= 200 and d["commits/s"] > 0 and d["await"] > 0, d
PY
exec 4<&-
assert_eq "$(qcowctl stat | awk '{ print $1 }' | paste -sd' ')" "NAME $dev $other" "devices"
# a device that is named and goes is the end of it
status=0
qcowctl stat "$other" 1 >lines 2>err &
stat=$!
wait_for 10 test -s lines
detach "$other"
wait "$stat" || status=$?
assert_eq "$status" 9 "status after the detach"
assert_match "$(<err)" 'no such device'

# what the block layer counts: discards and flushes as such, and nothing in flight when all is idle
read -r -a before <"/sys/block/${dev#/dev/}/stat"
blkdiscard -f -o $((33 << 20)) -l $((2 << 20)) "$dev"
dd if=/dev/zero of="$dev" bs=4K count=1 oflag=direct conv=notrunc,fsync status=none
read -r -a after <"/sys/block/${dev#/dev/}/stat"
assert_eq "$((after[11] - before[11])) $((after[13] - before[13]))" "1 4096" "discards, sectors"
assert_eq "$((after[4] - before[4])) $((after[15] - before[15]))" "2 1" "writes, flushes"
assert_eq "$(tr -s ' ' <"/sys/block/${dev#/dev/}/inflight" | sed 's/^ //')" "0 0" "in flight"
assert_eq "$(lsblk -dnbo NAME,SIZE,TYPE,RO "$dev" | tr -s ' ')" "${dev#/dev/} $((64 << 20)) disk 0" lsblk
detach "$dev"
