#!/bin/bash
# Preallocated images and those with lazy reference counts read as QEMU reads
# them, before and after writes.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
pairs=() devices=() new=()
for options in "compat=0.10,preallocation=metadata" preallocation=metadata \
	preallocation=falloc "preallocation=full,cluster_size=4K" \
	"preallocation=metadata,lazy_refcounts=on" \
	"preallocation=metadata,extended_l2=on" \
	"preallocation=metadata,data_file=data,data_file_raw=on"; do
	image=i${#pairs[@]}
	options=${options/data_file=data/data_file=$image.data}
	qemu-img create -q -f qcow2 -o "$options" "$image" 4M
	# a copy would share its data file
	if [[ $options != *data_file* ]]; then
		cp --sparse=always "$image" "new$image"
		new+=("new$image")
	fi
	random_writes 4194304 65536 noise text pattern zero unmap discard
	image_io qcow2 "$image" "${WRITES[@]}"
	raw_of "$image"
	dev=$(attach -r "$image")
	echo "$dev: $options"
	devices+=("$dev")
	pairs+=("$dev" "$image.raw")
done
truncate -s 4M empty
for image in "${new[@]}"; do
	dev=$(attach -r "$image")
	devices+=("$dev")
	pairs+=("$dev" empty)
done
assert_same_reads "${pairs[@]}"
detach "${devices[@]}"
