#!/bin/bash
# Images with random bytes changed, most of them in the header and in tables: whatever
# attaches can be read to the end, with I/O errors at the worst, in bounded time.
# kernels: 6.12 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

random_seed
count=200
[[ $QCOW_KERNEL != debug ]] || count=60

shared v1 v3 sub packed mixed
qemu-img create -q -f qcow2 -o cluster_size=512 overlay 4M
image_io qcow2 overlay "write -q -P 7 5K 300K" "write -q -z 400K 100K"
cp v3.raw overlay.raw
"$QCOW_ROOT/scripts/vm/guest/hostile" random -s "$SEED" -n "$count" \
	v1 v3 sub packed mixed overlay:v3:v1
