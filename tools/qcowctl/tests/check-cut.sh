#!/bin/bash
# Power fails at each write of a repair: the guest's bytes stay as they were, no count is
# too low that was not before, and the repair can be done again.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
cc -O1 -shared -fPIC -D_GNU_SOURCE -o cut.so "$here/cut.c"
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0

# low IMAGE: how many counts are too low
low() {
	"$QCOWCTL" check "$1" 2>&1 | grep -c 'is too low' || :
}

points=0
create qcow2 -o cluster_size=4K base 64M
io base qcow2 'write -P 1 0 200K' 'write -P 2 40M 200K'
qemu-img snapshot -c one base
io base qcow2 'write -P 3 100K 50K'
for fault in leak leak-cluster leak-count low-data low-l2 low-table double copied-clear-l2 \
	block-beyond block-over-l1 table-beyond table-over-l1 unaligned-zero both-bits; do
	cp base before
	python3 "$here/fault.py" "$fault" before
	before=$(low before)
	for ((cut = 0; ; cut++)); do
		status=0 compared=0
		cp before image
		CUT=$cut LD_PRELOAD=$PWD/cut.so "$QCOWCTL" check -q -r all image || status=$?
		[[ $status -eq 77 ]] || break
		points=$((points + 1))
		[[ $(low image) -le $before ]] || die "$fault, cut $cut: more counts are too low"
		qemu-img compare -q before image 2>/dev/null || compared=$?
		[[ $compared -ne 1 ]] || die "$fault, cut $cut: the guest's bytes have changed"
		"$QCOWCTL" check -q -r all image || die "$fault, cut $cut: cannot be repaired"
		qemu-img check -q image || die "$fault, cut $cut: qemu-img is not content"
	done
	[[ $status -eq 0 ]] || die "$fault: status $status"
done
echo "power failed at $points writes"
[[ $points -gt 20 ]] || die "only $points writes were tried"
