#!/bin/bash
# QEMU and the driver write to an image in turn, and each reads what both have written.
# kernels: 6.12
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

random_seed
noise_files
size=$((4 << 20))
cases=(
	"qcow -"
	"qcow2 compat=0.10,cluster_size=4K"
	"qcow2 cluster_size=512,refcount_bits=1"
	"qcow2 lazy_refcounts=on"
	"qcow2 extended_l2=on,cluster_size=16K"
)
half cases
for case in "${cases[@]}"; do
	read -r format options <<<"$case"
	echo "$case"
	[[ $options != - ]] || options=
	qemu-img create -q -f "$format" ${options:+-o "$options"} image "$size"
	truncate -s "$size" shadow
	for round in 1 2 3; do
		random_writes "$size" 65536 noise text pattern zero unmap
		# a third of them: there must be something left for us
		WRITES=("${WRITES[@]:round:8}")
		image_io "$format" image "${WRITES[@]}"
		image_io raw shadow "${WRITES[@]}"
		dev=$(attach image)
		cmp "$dev" shadow || fail "round $round: the driver reads other bytes"
		SEED=$((SEED + 1))
		model "$dev" shadow -n 60 -p 3
		detach "$dev"
		assert_image_is shadow image "$format"
	done
	assert_clean image
	rm image shadow
done
