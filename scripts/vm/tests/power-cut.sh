#!/bin/bash
# Power that is cut at any write leaves an image that opens, with no corruption and all that
# was promised, and that can be used on: version 3 with clusters small and large, lazy
# refcounts, subclusters. (Prints how many points were tried; CUT_POINTS, CUT_SECONDS and
# CUT_OPERATIONS in the environment make it more.)
# kernels: 6.12
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/powercut.sh"

cut_setup
cases=(
	"cluster_size=4K 4096"
	"cluster_size=512,refcount_bits=1 512"
	"lazy_refcounts=on 65536"
	"cluster_size=16K,extended_l2=on 16384"
)
half cases
for case in "${cases[@]}"; do
	read -r options zeroes <<<"$case"
	cut_image qcow2 "$options" "$zeroes"
done
cd ..
assert umount cut
