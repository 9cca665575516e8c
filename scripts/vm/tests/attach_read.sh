#!/bin/bash
# A small image of each version is a block device of its size and content, and
# is gone after detach.
# kernels: 6.12 6.1 debug 7.3
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

fill data 3M
for format in qcow "qcow2 -o compat=0.10" "qcow2 -o compat=1.1"; do
	read -r -a words <<<"$format"
	qemu-img create -q -f "${words[@]}" image 8M
	qemu-io -f "${words[0]}" -c "write -q -s data 1M 3M" image
	dev=$(attach -r image)
	assert_eq "$(blockdev --getro "$dev")" 1 "read-only flag"
	assert_same_content "$dev" image -f "${words[0]}"
	detach "$dev"
	[[ ! -e $dev ]] || fail "$dev is still there"
	rm image
done
