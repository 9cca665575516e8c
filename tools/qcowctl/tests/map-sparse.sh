#!/bin/bash
# An empty image of 64 TiB takes no time.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 -o cluster_size=2M v3 64T
io v3 qcow2 'write 40T 64K'
create qcow2 -o cluster_size=64K,compat=0.10 v2 64T
# an L1 table of 4 MiB in version 1: QEMU writes the zeros one by one
create qcow v1 1T
for image in v3 v2 v1; do
	timeout 20 "$QCOWCTL" map --output json "$image" >out
done
python3 - <<'PY'
import json
ranges = json.load(open("out"))
assert ranges[-1]["start"] + ranges[-1]["length"] == 1 << 40, ranges
PY
same_map qcow2 v3
