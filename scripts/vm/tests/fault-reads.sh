#!/bin/bash
# Allocations that fail at random while all kinds of clusters are read: I/O errors at
# the worst, and none when there is memory again.
# kernels: debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

modprobe null_blk
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
shared mixed
"$QCOW_ROOT/scripts/vm/guest/fault" reads mixed
