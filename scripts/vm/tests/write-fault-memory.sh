#!/bin/bash
# Allocations of the driver that fail at random while it writes: errors at the worst, never
# other bytes, an image that is whole, and no errors when there is memory again.
# kernels: debug
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

random_seed
size=$((12 << 20))
start=$(</sys/module/qcow/sections/.text)
bytes=$(awk '$1 == "qcow" { print $2 }' /proc/modules)

# faults PERCENT: of the allocations that the driver makes itself
faults() {
	local kind
	for kind in failslab fail_page_alloc; do
		(
			cd "/sys/kernel/debug/$kind"
			echo 0 >probability
			echo 0 >verbose
			echo -1 >./times
			echo N >ignore-gfp-wait
			echo 8 >stacktrace-depth
			echo "$start" >require-start
			printf '0x%x\n' $((start + bytes)) >require-end
			echo "$1" >probability
		)
	done
}

trap 'faults 0' EXIT
cases=(cluster_size=64K "cluster_size=512,refcount_bits=1" "extended_l2=on,cluster_size=16K" -)
half cases
refused=0
for options in "${cases[@]}"; do
	echo "$options"
	format=qcow2
	args=(-o "$options")
	[[ $options != - ]] || { format=qcow; args=(); }
	qemu-img create -q -f "$format" "${args[@]}" image "$size"
	rm -f shadow
	truncate -s "$size" shadow
	dev=$(attach --no-partscan image)
	faults 3
	model "$dev" shadow -t 5 -p 3 -e ENOMEM,EIO >said || fail "$options: the model failed"
	faults 0
	note_refused said
	assert_same_reads -n 20 "$dev" shadow
	model "$dev" shadow -n 30 -p 3
	detach "$dev"
	assert_clean image
	assert_image_is shadow image "$format"
	rm image
done
[[ $refused -gt 0 ]] || fail "no write failed"
