#!/bin/bash
# A hundred overlays on one base: the base is in memory once, attaching another overlay reads
# nothing of it, and one that has changed meanwhile is refused.
# kernels: 6.12 debug
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

# all but the first and the last; KASAN finds what is freed too early with a few
overlays=98
[[ $QCOW_KERNEL != debug ]] || overlays=18
random_seed
noise_files
modprobe null_blk nr_devices=0
ram_disk nullb7 64
mkfs.ext4 -q -O ^has_journal /dev/nullb7
mkdir below
mount /dev/nullb7 below
# tables of several slices, and clusters to decompress
qemu-img create -q -f qcow2 -o cluster_size=4K below/base 32M
image_io qcow2 below/base "write -s noise1 0 1M" "write -s noise2 9M 1M" "write -c -s text1 16M 64K" \
	"write -P 7 24M 2M"
raw_of below/base
qemu-img create -q -f qcow2 -b "$PWD/below/base" -F qcow2 over 32M

reads() { awk '{ print $1 }' /sys/block/nullb7/stat; }
figures() { echo "$(attr "$1" cache_used) $(attr "$1" cache_misses) $(attr "$1" inflated_bytes)"; }
content() { assert_same_reads -n 40 "$1" below/base.raw; cmp "$1" below/base.raw; }

one=$(attach over)
assert_attr "$one" shared_layers 0
content "$one"
before=$(figures "$one")
[[ $before != *' 0' ]] || fail "nothing was decompressed: $before"

cat >many <<'PY'
import os
import shutil
import sys

import qcowdev as q

base = os.open("below/base", os.O_RDONLY)
for number in range(int(sys.argv[1])):
    name = f"over{number}"
    shutil.copyfile("clean", name)
    over = os.open(name, os.O_RDWR)
    err, index = q.attach((over,), (base,), flags=q.NO_PARTSCAN)
    if err:
        raise SystemExit(f"{name}: error {err}: {q.message}")
    os.close(over)
    print(f"/dev/qcow{index}")
PY
qemu-img create -q -f qcow2 -b "$PWD/below/base" -F qcow2 clean 32M
python many "$overlays" >devices
assert_eq "$(wc -l <devices)" "$overlays" "devices"

cp clean over99
sync
qemu-img info over99 >/dev/null
qcowctl info over99 >/dev/null
start=$(reads)
last=$(attach --no-partscan over99)
assert_eq "$(reads)" "$start" "reads below the base"
assert_attr "$last" shared_layers 1
assert_attr "$one" shared_layers 1
assert_attr "$last" depth 2
# what the first has read is there for all: the same tables, the same clusters
assert_eq "$(figures "$last")" "$before" "figures of the last device"
content "$last"
content "$(sed -n "$((overlays / 2))p" devices)"
assert_eq "$(figures "$last")" "$before" "figures when all have been read"

# a writer is not let near it, nor anything that is not what it was
cat >refused <<'PY'
import errno
import os

import qcowdev as q

base, over = os.open("below/base", os.O_RDWR), os.open("over", os.O_RDWR)
q.refused("to write to the base", errno.EBUSY, (base,), flags=q.NO_PARTSCAN,
          text="base is in use by qcow")
q.refused("to write to an overlay twice", errno.EBUSY, (over,), (base,), flags=q.NO_PARTSCAN,
          text="over is in use by qcow")
q.refused("to read an overlay that is written to", errno.EBUSY, (over,), (base,),
          text="over is in use by qcow")
q.accepted("the base alone", (base,))
q.finish()
PY
python refused
cp clean another
touch below/base
assert_fails 'has changed since other devices opened it' qcowctl attach another
assert_fails 'layer 1' qcowctl attach another
content "$last"

mapfile -t devices <devices
detach "${devices[@]}" "$one"
content "$last"
assert_attr "$last" shared_layers 0
detach "$last"
# with the last one the base has gone, and what there is now is read
another=$(attach another)
content "$another"
detach "$another"
umount below
