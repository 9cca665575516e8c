#!/bin/bash
# Preallocated images and those with lazy reference counts read as QEMU reads
# them, before and after writes.
# kernels: 6.12 6.1
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
pairs=() devices=()
for options in "compat=0.10,preallocation=metadata" preallocation=metadata \
	preallocation=falloc "preallocation=full,cluster_size=4K" \
	"preallocation=metadata,lazy_refcounts=on" lazy_refcounts=on \
	"preallocation=metadata,extended_l2=on" \
	"preallocation=metadata,data_file=data,data_file_raw=on"; do
	image=i${#pairs[@]}
	options=${options/data_file=data/data_file=$image.data}
	qemu-img create -q -f qcow2 -o "$options" "$image" 4M
	dev=$(attach -r "$image")
	cmp -n 4194304 "$dev" /dev/zero || fail "$options: a new image is not empty"
	detach "$dev"
	random_writes 4194304 65536 noise text pattern zero unmap discard
	image_io qcow2 "$image" "${WRITES[@]}"
	raw_of "$image"
	dev=$(attach -r "$image")
	echo "$dev: $options"
	devices+=("$dev")
	pairs+=("$dev" "$image.raw")
done
assert_same_reads "${pairs[@]}"
detach "${devices[@]}"
