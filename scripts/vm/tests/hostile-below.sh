#!/bin/bash
# A broken entry in a backing image of small clusters spoils what it maps and not the
# whole cluster of the overlay above; the log names the layer.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared v3
qemu-img create -q -f qcow2 -o cluster_size=64K -b v3 -F qcow2 overlay
"$QCOW_ROOT/scripts/vm/guest/hostile" below overlay:v3
