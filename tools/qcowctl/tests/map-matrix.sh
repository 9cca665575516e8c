#!/bin/bash
# map says what qemu-img says, over versions, cluster sizes and kinds of cluster.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

writes=('write -P 1 0 64K' 'write -P 2 1M 200K' 'write -P 3 5M 1M' 'write -P 4 3M 512')
for cluster in 512 4K 64K 2M; do
	create qcow2 -o "cluster_size=$cluster,compat=0.10" "v2-$cluster" 16M
	io "v2-$cluster" qcow2 "${writes[@]}"
	same_map qcow2 "v2-$cluster"
	create qcow2 -o "cluster_size=$cluster" "v3-$cluster" 16M
	io "v3-$cluster" qcow2 "${writes[@]}" 'write -z 8M 3M' 'write -z -u 5M 128K' \
		'discard 0 64K'
	same_map qcow2 "v3-$cluster"
done
create qcow v1 16M
io v1 qcow "${writes[@]}"
same_map qcow v1
create qcow2 odd $((16 * 1024 * 1024 + 512))
io odd qcow2 'write 16M 512'
same_map qcow2 odd
