#!/bin/bash
# An image file that ends early, anywhere: in the header, in its tables, in data. Attach
# refuses it, or all that is still there reads as before and the rest is an I/O error.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared v1 v3 packed
"$QCOW_ROOT/scripts/vm/guest/hostile" truncated v3 v1 packed
