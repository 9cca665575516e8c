#!/bin/bash
# Requests that fail at random in the device below are I/O errors, what is read is what
# was written, and all can be read when they fail no more.
# kernels: debug
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

modprobe null_blk
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
shared mixed
"$QCOW_ROOT/scripts/vm/guest/fault" requests mixed
