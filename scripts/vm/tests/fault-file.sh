#!/bin/bash
# The same below a file system that has the image, read directly and through its page
# cache.
# kernels: 6.12 6.1
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

modprobe null_blk
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
shared mixed
"$QCOW_ROOT/scripts/vm/guest/fault" file mixed
