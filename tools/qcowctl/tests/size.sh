#!/bin/bash
# Sizes and numbers of the command line mean what the manual says.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

"$TEST_SIZE"
