#!/bin/bash
# Snapshots attach by id and by name, with the content and the size of their
# time, beside the active state.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
kinds=(noise text pattern zero unmap discard)

# state IMAGE NAME SIZE: change the image and keep what it is as NAME.raw
state() {
	random_writes "$3" 65536 "${kinds[@]}"
	image_io qcow2 "$1" "${WRITES[@]}"
	qemu-img convert -O raw "$1" "$1-$2.raw"
}

for image in v2 v3; do
	options=compat=1.1,cluster_size=4K
	[[ $image == v3 ]] || options=compat=0.10
	truncate -s 3M base
	qemu-img create -q -f qcow2 -o "$options" -b base -F raw "$image" 4M
	image_io qcow2 "$image" "write -c -s text1 1M 64K" "write -c -s text2 3M 64K"
	state "$image" first $((4 << 20))
	qemu-img snapshot -c first "$image"
	state "$image" 1 $((4 << 20))
	# its name is the id of the other one
	qemu-img snapshot -c 1 "$image"
	size=4
	# QEMU does not resize version 2 with snapshots
	[[ $image == v2 ]] || { qemu-img resize -q v3 7M && size=7; }
	state "$image" now $((size << 20))
	keep "$image"

	now=$(attach -r "$image")
	first=$(attach --snapshot first "$image")
	id1=$(attach -r --snapshot 1 "$image")
	id2=$(attach --snapshot 2 "$image")
	assert_attr "$now" snapshot_id ''
	assert_attr "$now" snapshot_name ''
	assert_attr "$first" snapshot_id 1
	assert_attr "$first" snapshot_name first
	assert_attr "$id1" snapshot_id 1
	assert_attr "$id2" snapshot_id 2
	assert_attr "$id2" snapshot_name 1
	assert_eq "$(blockdev --getsize64 "$now")" $((size << 20)) "size of $now"
	assert_same_reads "$now" "$image-now.raw" "$first" "$image-first.raw" \
		"$id1" "$image-first.raw" "$id2" "$image-1.raw"
	assert_refused 9 "no snapshot with the id or name 'third'" \
		qcowctl attach --snapshot third "$image"
	detach "$image"
	assert_unchanged
done
