#!/bin/bash
# A chain of many layers is opened, beyond the usual limit of open files.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw base 64K
create qcow2 -u -b base -F raw -o cluster_size=512 0001 64K
create qcow2 -u -b 0001 -F qcow2 -o cluster_size=512 0002 64K
python3 - <<'PY'
with open("0002", "rb") as f:
    image = f.read()
# only the name differs
at = image.index(b"0001")
for layer in range(3, 1201):
    with open(f"{layer:04}", "wb") as f:
        f.write(image[:at] + b"%04d" % (layer - 1) + image[at + 4:])
PY
ulimit -S -n 256
expect_ready -r 1200
"$QCOWCTL" map --output json 1200 >out
grep -q '"depth": 1200' out
