#!/bin/bash
# Readers at the same time, through the page cache and directly, over an L2 cache that
# holds a fraction of the tables, all get what the image holds; the limit holds meanwhile.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=512 base 16M
random_writes 8388608 512 noise pattern zero compressed
# the rest has all its tables, more than the cache holds
image_io qcow2 base "${WRITES[@]}" "write -q -P 9 8M 8M"
qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=16K -b base -F qcow2 image
random_writes 16777216 16384 noise text unmap
image_io qcow2 image "${WRITES[@]}"
raw_of image

dev=$(attach -r --cache-size 64K image)
readers=()
for nr in 1 2 3 4; do
	SEED=$((SEED + nr)) assert_same_reads -n 150 "$dev" image.raw &
	readers+=($!)
done
while kill -0 "${readers[@]}" 2>/dev/null; do
	[[ $(attr "$dev" cache_used) -le $(attr "$dev" cache_limit) ]] ||
		fail "cache: $(attr "$dev" cache_used) bytes"
	sleep 0.05
done
for reader in "${readers[@]}"; do
	wait "$reader"
done
[[ $(attr "$dev" cache_evictions) -gt 0 ]] || fail "nothing was evicted"
detach "$dev"
