#!/bin/bash
# A version 1 image does not state the format of its backing file.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

truncate -s 8M base.raw
io base.raw raw 'write -P 1 0 1M'
create qcow -b base.raw -F raw v1 8M
expect "$POLICY" 'not stated' map v1
grep -q 'backing-format' err
same_map qcow v1 --backing-format raw
expect_ready -r --backing-format raw v1
