#!/bin/bash
# attach --snapshot takes an id before a name, and implies read-only.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 a 1M
qemu-img snapshot -c 2 a
qemu-img snapshot -c name a
chmod a-w a
expect_ready --snapshot 1 a
expect_ready --snapshot 2 a
expect_ready --snapshot name a
expect "$NOT_FOUND" "no snapshot with the id or name 'other'" attach --snapshot other a
grep -q "has snapshot 2 'name'" err
create qcow v1 1M
expect "$NOT_FOUND" 'no snapshot' attach --snapshot 1 v1
