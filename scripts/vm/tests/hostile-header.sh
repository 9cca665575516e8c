#!/bin/bash
# Header fields set to extremes, backing file names, extensions and snapshot table
# entries that lie: the driver, past qcowctl and its own checks, refuses them with a
# message that names the field, or they do no harm.
# kernels: debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

fill data 300K
qemu-img create -q -f qcow2 -o cluster_size=4K v3 3M
qemu-io -f qcow2 -c "write -q -s data 4K 300K" -c "write -q -P 5 2M 20K" v3
qemu-img create -q -f qcow v1 3M
qemu-io -f qcow -c "write -q -s data 4K 300K" -c "write -q -P 5 2M 20K" v1
qemu-img convert -O raw v3 v3.raw
cp v3.raw v1.raw
"$QCOW_ROOT/scripts/vm/guest/hostile" header v3 v1

cp v3 snap
cp v3.raw snap.raw
qemu-img snapshot -c one snap
"$QCOW_ROOT/scripts/vm/guest/hostile" snapshot snap
