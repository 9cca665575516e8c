#!/bin/bash
# An image that QEMU writes is not attached, nor is one over it.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 base 1M
create qcow2 -b base -F qcow2 top
expect_ready -r top
expect_ready top
hold top
expect "$BUSY" 'top: is in use: another process may' attach -r top
expect "$BUSY" 'top: is in use' attach top
grep -q 'try: ' err
release
hold base
expect "$BUSY" 'base: is in use' attach -r top
release
# readers do not mind each other
hold top -r
expect_ready -r top
expect "$BUSY" 'top: is in use: another process uses it and allows no writer' attach top
# looking needs no lock
"$QCOWCTL" info top >/dev/null
"$QCOWCTL" map top >/dev/null
release
expect_ready top
