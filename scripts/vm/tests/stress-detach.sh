#!/bin/bash
# A device with readers at work is busy; after a lazy detach they read on undisturbed and
# it goes with the last of them; readers that are killed in the middle leave nothing.
# kernels: 6.12
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared random

# readers: at work from now on, in a process group of their own
readers() {
	setsid "$QCOW_ROOT/scripts/vm/guest/readers" -s "$((SEED % 100000))" -t 100 "$1" random.raw &
	reader=$!
	wait_for 20 inflight "$1"
}
inflight() { [[ $(awk '{ print $1 }' "/sys/block/${1#/dev/}/stat") -gt 20 ]]; }

for round in 1 2 3; do
	dev=$(attach -r --cache-size 64K random)
	readers "$dev"
	assert_status 6 qcowctl detach "$dev"
	kill -KILL -- "-$reader"
	wait "$reader" || true
	detach --wait 20 "$dev"
	[[ ! -e $dev ]] || fail "round $round: $dev is still there"
done

dev=$(attach -r --cache-size 64K random)
readers "$dev"
detach --lazy "$dev"
assert_attr "$dev" lazy 1
SEED=$((SEED + 1)) assert_same_reads -n 30 "$dev" random.raw
kill "$reader"
wait "$reader" || fail "a reader had an error or other bytes"
gone() { [[ ! -e /sys/block/${dev#/dev/} ]]; }
wait_for 20 gone
