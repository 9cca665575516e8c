#!/bin/bash
# Every allocation of attach in turn fails once: attach is refused or works, and leaves
# nothing behind.
# kernels: debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared mixed
"$QCOW_ROOT/scripts/vm/guest/fault" attach mixed
