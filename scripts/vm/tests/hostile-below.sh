#!/bin/bash
# A broken entry in a backing image of small clusters spoils what it maps and not the
# whole cluster of the overlay above; the log names the layer.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

fill data 100K
qemu-img create -q -f qcow2 -o cluster_size=4K base 4M
image_io qcow2 base "write -q -s data 260K 100K" "write -q -P 5 800K 20K"
qemu-img convert -O raw base base.raw
qemu-img create -q -f qcow2 -o cluster_size=64K -b base -F qcow2 overlay
"$QCOW_ROOT/scripts/vm/guest/hostile" below overlay:base
