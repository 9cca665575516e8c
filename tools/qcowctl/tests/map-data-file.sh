#!/bin/bash
# map gives offsets in the external data file.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 -o data_file=data.raw plain 8M
io plain qcow2 'write 0 1M' 'write 4M 128K' 'write -z 6M 64K'
same_map qcow2 plain
