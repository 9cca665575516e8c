#!/bin/bash
# While the kernel takes back all memory that it can, all readers get the right bytes;
# the caches are given back to the last byte.
# kernels: 6.12 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared random

usual=$(</proc/sys/vm/min_free_kbytes)
trap 'echo "$usual" >/proc/sys/vm/min_free_kbytes' EXIT

# squeeze: make the kernel want so much free that it gives up nearly all that it can
squeeze() {
	local available
	available=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
	echo $((available * 6 / 10)) >/proc/sys/vm/min_free_kbytes
}

dev=$(attach -r random)
cmp "$dev" random.raw
scanned=$(awk '/^slabs_scanned/ { print $2 }' /proc/vmstat)
"$QCOW_ROOT/scripts/vm/guest/readers" -s "$((SEED % 100000))" -t 8 "$dev" random.raw &
reader=$!
while kill -0 "$reader" 2>/dev/null; do
	squeeze
	sleep 0.5
	echo "$usual" >/proc/sys/vm/min_free_kbytes
	sleep 0.2
done
wait "$reader"
[[ $(awk '/^slabs_scanned/ { print $2 }' /proc/vmstat) -gt $scanned ]] ||
	fail "the kernel did not want anything back"
echo 2 >/proc/sys/vm/drop_caches
echo 2 >/proc/sys/vm/drop_caches
[[ $(attr "$dev" cache_used) -eq 0 && $(attr "$dev" inflated_bytes) -eq 0 ]] ||
	fail "the caches were not given back"
assert_not_logged "Out of memory|oom-kill"
detach "$dev"
