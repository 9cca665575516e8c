#!/bin/bash
# L1 and L2 entries and subcluster bitmaps that are wrong in any way, and compressed
# clusters of garbage, of too little and of endless zeros: what they map is an I/O error
# that one line of the log explains, everything else reads as before.
# kernels: 6.12 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared v1 v3 sub zstd
"$QCOW_ROOT/scripts/vm/guest/hostile" tables v1 v3 sub zstd
