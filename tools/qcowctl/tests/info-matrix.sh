#!/bin/bash
# info says what qemu-img says, over versions, cluster sizes and features.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

for size in 0 512 1M 1234944 5G; do
	if [[ $size != 0 ]]; then
		create qcow "v1-$size" "$size"
		same_info qcow "v1-$size"
	fi
	create qcow2 -o compat=0.10 "v2-$size" "$size"
	same_info qcow2 "v2-$size"
	create qcow2 -o compat=1.1 "v3-$size" "$size"
	same_info qcow2 "v3-$size"
done
for cluster in 512 4K 64K 2M; do
	create qcow2 -o "compat=0.10,cluster_size=$cluster" "v2-c$cluster" 8M
	same_info qcow2 "v2-c$cluster"
	create qcow2 -o "cluster_size=$cluster" "v3-c$cluster" 8M
	same_info qcow2 "v3-c$cluster"
done
for bits in 1 2 4 8 16 32 64; do
	create qcow2 -o "refcount_bits=$bits" "r$bits" 8M
	same_info qcow2 "r$bits"
done
create qcow2 -o compression_type=zstd zstd 8M
same_info qcow2 zstd
create qcow2 -o extended_l2=on,cluster_size=64K extended 8M
same_info qcow2 extended
create qcow2 -o lazy_refcounts=on lazy 8M
same_info qcow2 lazy
