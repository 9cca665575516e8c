#!/bin/bash
# An image that QEMU writes to is not checked, and one that it reads is not repaired.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 image 1M
hold image
expect 1 'is in use: another process may' check image
expect 1 'is in use' check -r all image
release
hold image -r
ends 0 check image
expect 1 'is in use' check -r leaks image
release
ends 0 check -r leaks image
