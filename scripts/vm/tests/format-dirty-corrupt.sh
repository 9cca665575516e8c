#!/bin/bash
# An image that is marked dirty, corrupt or both attaches read-only, keeps its
# marks, and is refused read-write, with a hint.
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
	assert_refused 4 "try: qcowctl attach -r marked$bits, or qcowctl check -r all" \
		qcowctl attach "marked$bits"
done
assert_unchanged
# what the hint says works
cp marked3 repaired
qcowctl check -q -r all repaired
dev=$(attach repaired)
assert_same_reads "$dev" image.raw
detach "$dev"
