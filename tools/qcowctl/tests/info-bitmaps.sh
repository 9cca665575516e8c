#!/bin/bash
# info lists persistent bitmaps as qemu-img does.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 a 8M
qemu-img bitmap --add a one
qemu-img bitmap --add -g 512K a 'number two'
qemu-img bitmap --disable a 'number two'
same_info qcow2 a
