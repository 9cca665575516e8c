#!/bin/bash
# An image file that ends early, anywhere: in the header, in its tables, in data. Attach
# refuses it, or all that is still there reads as before and the rest is an I/O error.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

fill data 200K
qemu-img create -q -f qcow2 -o cluster_size=4K v3 4M
qemu-io -f qcow2 -c "write -q -s data 4K 200K" -c "write -q -P 5 2M 20K" v3
qemu-img create -q -f qcow v1 4M
qemu-io -f qcow -c "write -q -s data 4K 200K" -c "write -q -P 5 2M 20K" v1
qemu-img convert -O raw v3 v3.raw
cp v3.raw v1.raw
qemu-img convert -c -O qcow2 -o cluster_size=4K v3 compressed
cp v3.raw compressed.raw
"$QCOW_ROOT/scripts/vm/guest/hostile" truncated v3 v1 compressed
