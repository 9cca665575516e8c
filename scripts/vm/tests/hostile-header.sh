#!/bin/bash
# Header fields set to extremes, backing file names, extensions and snapshot table
# entries that lie: the driver, past qcowctl and its own checks, refuses them with a
# message that names the field, or they do no harm.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared v1 v3
"$QCOW_ROOT/scripts/vm/guest/hostile" header v3 v1

cp v3 snap
cp v3.raw snap.raw
qemu-img snapshot -c one snap
"$QCOW_ROOT/scripts/vm/guest/hostile" snapshot snap
