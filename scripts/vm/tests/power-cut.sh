#!/bin/bash
# Power that is cut at any write leaves an image that opens, with no corruption and all that
# was promised, and that can be used on: version 3 with clusters small and large, lazy
# refcounts, subclusters, encrypted. (Prints how many points were tried; CUT_POINTS, CUT_SECONDS and
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
	"encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10,cluster_size=4K 4096"
	"encrypt.format=aes,encrypt.key-secret=key,compat=0.10,cluster_size=4K 4096"
)
half cases
printf secret >key
for case in "${cases[@]}"; do
	read -r options zeroes <<<"$case"
	KEY_FILE=''
	[[ $options != *encrypt* ]] || KEY_FILE=key
	cut_image qcow2 "$options" "$zeroes"
done
cd ..
assert umount cut
