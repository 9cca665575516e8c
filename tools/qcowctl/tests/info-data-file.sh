#!/bin/bash
# info names the external data file and does not need it.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 -o data_file=data.raw plain 8M
io plain qcow2 'write 0 1M'
same_info qcow2 plain
create qcow2 -o data_file=data2.raw,data_file_raw=on raw 8M
io raw qcow2 'write 0 2M'
same_info qcow2 raw
rm data2.raw
"$QCOWCTL" info --output json raw >got.json
grep -q '"data-file":"data2.raw"' got.json
