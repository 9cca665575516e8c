#!/bin/bash
# Slices and decompressed clusters are given back under memory pressure, reads go on
# rightly meanwhile, and after the detach none is left.
# kernels: 6.12 6.1 debug
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=512 image 8M
random_writes 8388608 512 noise text compressed
image_io qcow2 image "${WRITES[@]}"
raw_of image

# slices in use, by the allocator's own account
slices() { awk '$1 ~ /^qcow_slice/ { n += $2 } END { print n + 0 }' /proc/slabinfo; }

dev=$(attach -r image)
assert_same_reads -n 20 "$dev" image.raw
full=$(attr "$dev" cache_used)
[[ $full -gt 10000 ]] || fail "only $full bytes of cache are used"

for round in 1 2 3; do
	SEED=$((SEED + round)) assert_same_reads -n 100 "$dev" image.raw &
	reader=$!
	while kill -0 "$reader" 2>/dev/null; do
		echo 3 >/proc/sys/vm/drop_caches
		sleep 0.02
	done
	wait "$reader"
done

given_back() {
	echo 2 >/proc/sys/vm/drop_caches
	[[ $(attr "$dev" cache_used) -lt $((full / 4)) && $(attr "$dev" inflated_bytes) -eq 0 ]]
}
wait_for 20 given_back
detach "$dev"
gone() { [[ $(slices) -eq 0 ]]; }
# the reserve of a cache goes with it, objects in per-CPU slabs are counted as in use
wait_for 20 gone || fail "$(slices) slices are left"
