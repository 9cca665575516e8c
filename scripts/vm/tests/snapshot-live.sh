#!/bin/bash
# Snapshots of an attached image of every kind, among writes of several processes: created, applied
# and deleted in turn, each holds what the disk held, for us and for QEMU; nothing leaks.
# kernels: 6.12 7.3
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

random_seed
noise_files
size=$((4 << 20))
cases=(
	"compat=0.10,cluster_size=4K"
	"cluster_size=64K,refcount_bits=4"
	"cluster_size=16K,extended_l2=on"
	"cluster_size=512,refcount_bits=64"
	"cluster_size=2M"
	"cluster_size=4K,compression_type=zstd"
)
one_in 3 cases
# run: the model, with another seed each time
run() {
	SEED=$((SEED + 1))
	model "$dev" shadow -t 1 -p 2
}

for options in "${cases[@]}"; do
	echo "$options"
	qemu-img create -q -f qcow2 -o "$options" image "$size"
	cluster=${options#*cluster_size=}
	random_writes "$size" "$(numfmt --from=iec "${cluster%%,*}")" noise text pattern zero unmap \
		compressed
	image_io qcow2 image "${WRITES[@]}"
	qemu-img snapshot -c zero image
	qemu-img convert -O raw image zero.raw
	cp zero.raw shadow
	dev=$(attach image)
	for snapshot in one two three; do
		run
		cp shadow "$snapshot.raw"
		qcowctl snapshot -c "$snapshot" "$dev"
		cmp "$dev" shadow
	done
	assert_eq "$(qcowctl snapshot -l "$dev" | awk 'NR > 2 { print $1, $2 }' | paste -sd,)" \
		"1 zero,2 one,3 two,4 three" "snapshots of $options"
	run
	qcowctl snapshot -d two "$dev"
	run
	qcowctl snapshot -a one image
	cp one.raw shadow
	cmp "$dev" shadow
	run
	qcowctl snapshot -d zero image
	qcowctl snapshot -a three "$dev"
	cp three.raw shadow
	run
	qcowctl snapshot -c four "$dev"
	cp shadow four.raw
	run
	detach "$dev"
	assert_clean image
	assert_image_is shadow image
	for snapshot in one three four; do
		dev=$(attach --snapshot "$snapshot" image)
		assert_same_reads -n 20 "$dev" "$snapshot.raw"
		detach "$dev"
	done
	qemu-img snapshot -a four image
	assert_image_is four.raw image
	dev=$(attach image)
	for snapshot in three one four; do
		qcowctl snapshot -d "$snapshot" "$dev"
		cmp "$dev" four.raw
	done
	detach "$dev"
	assert_clean image
	assert_image_is four.raw image
	assert_eq "$(qemu-img snapshot -l image)" "" "snapshots that are left"
	rm image shadow ./*.raw
done
