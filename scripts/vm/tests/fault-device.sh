#!/bin/bash
# Bad sectors of the block device below, under data, an L2 table and a compressed
# cluster, are I/O errors of exactly the bytes that need them, and are gone when the device
# is well again: nothing bad is kept. Under the header and the L1 table, attach says so.
# kernels: 6.12 6.1 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

modprobe null_blk
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
shared mixed
"$QCOW_ROOT/scripts/vm/guest/fault" device mixed
