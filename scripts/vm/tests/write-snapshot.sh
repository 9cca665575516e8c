#!/bin/bash
# Clusters that internal snapshots have too are copied before they change: the snapshots
# stay what they are for us and for QEMU, which goes back to one, and deletes one.
# kernels: 6.12
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

random_seed
noise_files
size=$((4 << 20))
# two bits count to 3: the image and both snapshots, but not compressed clusters that share one
cases=(
	"compat=0.10,cluster_size=4K"
	"cluster_size=64K,refcount_bits=2"
	"cluster_size=16K,extended_l2=on"
	"cluster_size=512"
)
half cases
for options in "${cases[@]}"; do
	echo "$options"
	qemu-img create -q -f qcow2 -o "$options" image "$size"
	cluster=${options#*cluster_size=}
	kinds=(noise text pattern zero unmap compressed)
	[[ $options != *refcount_bits=2* ]] || unset 'kinds[5]'
	random_writes "$size" "$(numfmt --from=iec "${cluster%%,*}")" "${kinds[@]}"
	image_io qcow2 image "${WRITES[@]}"
	qemu-img convert -O raw image shadow
	for snapshot in one two; do
		cp shadow "$snapshot.raw"
		qemu-img snapshot -c "$snapshot" image
		dev=$(attach image)
		cmp "$dev" shadow
		SEED=$((SEED + 1))
		model "$dev" shadow -t 2 -p 3
		detach "$dev"
		assert_clean image
	done
	for snapshot in one two; do
		dev=$(attach --snapshot "$snapshot" image)
		assert_same_reads -n 20 "$dev" "$snapshot.raw"
		detach "$dev"
	done
	assert_image_is shadow image
	qemu-img snapshot -d two image
	qemu-img snapshot -a one image
	assert_image_is one.raw image
	# all of it is shared now
	cp one.raw shadow
	dev=$(attach image)
	model "$dev" shadow -t 1 -p 2
	detach "$dev"
	qemu-img snapshot -a one image
	assert_image_is one.raw image
	qemu-img snapshot -d one image
	assert_clean image
	rm image shadow ./*.raw
done
