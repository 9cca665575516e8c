#!/bin/bash
# What qcowctl locks, QEMU does not write; a second reader is welcome.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw base.raw 1M
create qcow2 -b base.raw -F raw top
refused() {
	! qemu-io "$@" >out 2>&1 || die "QEMU opened it: $*"
	grep -q 'lock' out
}
hold_lock ro top
refused -f qcow2 -c 'write 0 512' top
refused -f raw -c 'write 0 512' base.raw
qemu-io -r -f qcow2 -c 'read 0 512' top >/dev/null
"$TEST_LOCK" ro top </dev/null | grep -q locked
expect "$BUSY" 'is in use' attach top
release
hold_lock rw top
refused -f qcow2 -c 'write 0 512' top
refused -r -f qcow2 -c 'read 0 512' top
expect "$BUSY" 'is in use' attach -r top
release
io top qcow2 'write 0 512'
