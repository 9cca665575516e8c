#!/bin/bash
# Without the driver there is a status of its own, and a hint.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 a 1M
expect_ready -r a
grep -q 'try: ' err
[[ ! -s out ]]
expect "$NO_DRIVER" 'the driver is not there' detach /dev/qcow0
