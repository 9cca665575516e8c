#!/bin/bash
# Power that is cut while a snapshot is made, applied or deleted, or a disk grows or shrinks, among
# writes where that may be: the image is as before or as afterwards, with all that was promised, and
# each snapshot has what it was made of. (Prints how many points were tried; CUT_POINTS and
# CUT_OPERATIONS in the environment make it more.)
# kernels: 6.12
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/powercut.sh"

cut_setup
# with the first ones the L1 table moves when the disk grows
cases=(
	"cluster_size=512,refcount_bits=8 512"
	"cluster_size=4K 4096"
	"cluster_size=512,compat=0.10 512"
	"cluster_size=16K,extended_l2=on 16384"
)
one_in 4 cases
for case in "${cases[@]}"; do
	read -r options zeroes <<<"$case"
	cut_commands "$options" "$zeroes"
done
cd ..
assert umount cut
