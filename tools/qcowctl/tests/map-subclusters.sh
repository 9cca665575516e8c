#!/bin/bash
# map knows subclusters: allocated, zero, and those of the backing file.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 base 8M
io base qcow2 'write -P 9 0 8M'
create qcow2 -o extended_l2=on,cluster_size=64K -b base -F qcow2 over
io over qcow2 'write -P 1 2K 4K' 'write -z 130K 8K' 'write 1M 64K' 'write -z 1M 2K' \
	'discard 2M 64K'
same_map qcow2 over
create qcow2 -o extended_l2=on,cluster_size=16K alone 8M
io alone qcow2 'write -P 1 2K 4K' 'write -z 130K 8K' 'write 1M 64K'
same_map qcow2 alone
