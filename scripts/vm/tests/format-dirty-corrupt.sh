#!/bin/bash
# An image that is marked dirty, corrupt or both attaches read-only, keeps its
# marks, and is refused read-write.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o lazy_refcounts=on image 4M
random_writes 4194304 65536 noise text pattern zero compressed
image_io qcow2 image "${WRITES[@]}"
raw_of image
for bits in 1 2 3; do
	cp image "marked$bits"
	poke "marked$bits" 79 "0$bits"
	keep "marked$bits"
	dev=$(attach -r "marked$bits")
	assert_same_reads "$dev" image.raw
	detach "$dev"
	assert_status 4 qcowctl attach "marked$bits"
done
assert_unchanged
