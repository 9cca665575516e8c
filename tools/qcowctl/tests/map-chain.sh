#!/bin/bash
# map tells the layer, over versions, cluster sizes and short backing files.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

truncate -s 3M base.raw
io base.raw raw 'write -P 1 0 100K' 'write -P 2 2M 512K'
create qcow2 -o cluster_size=4K -b base.raw -F raw low 5M
io low qcow2 'write -P 3 50K 20K' 'write -z 1M 64K'
create qcow2 -o compat=0.10 -b low -F qcow2 mid 16M
io mid qcow2 'write -P 4 4M 64K' 'write 6M 1M'
create qcow2 -o cluster_size=2M -b mid -F qcow2 top 12M
io top qcow2 'write -P 5 8M 1K'
for image in low mid top; do
	same_map qcow2 "$image"
done
