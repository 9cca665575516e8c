#!/bin/bash
# A request of many extents ends soon although there is no memory for fragments, on a
# block device and on a file.
# kernels: debug
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

modprobe null_blk
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
shared mixed
"$QCOW_ROOT/scripts/vm/guest/fault" fragments mixed
