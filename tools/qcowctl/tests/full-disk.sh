#!/bin/bash
# Output that cannot be written is an error.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 a.qcow2 1M
status=0
"$QCOWCTL" info a.qcow2 >/dev/full 2>err || status=$?
[[ $status -eq 2 ]]
grep -q 'cannot write' err
