#!/bin/bash
# A disk below that refuses writes now and then: errors for who wrote, never other bytes, and
# an image that stays whole; with a disk that is well, a new attach writes on.
# kernels: 6.12
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

modprobe dm-flakey
random_seed
size=$((16 << 20))
well="0 131072 linear /dev/ram1 0"
ill="0 131072 flakey /dev/ram1 0 0 60 1 error_writes"
disk=/dev/mapper/flaky

# become TABLE: while I/O goes on
become() {
	dmsetup suspend --noflush --nolockfs flaky
	dmsetup load flaky --table "$1"
	dmsetup resume flaky
}

cases=(cluster_size=64K "cluster_size=4K,compat=0.10" "extended_l2=on,cluster_size=16K")
one_in 3 cases
refused=0
for options in "${cases[@]}"; do
	echo "$options"
	dmsetup create flaky --table "$well"
	dmsetup mknodes flaky
	qemu-img create -q -f qcow2 -o "$options" "$disk" "$size"
	for round in 1 2; do
		qemu-img convert -t unsafe -f qcow2 -O raw "$disk" shadow
		dev=$(attach --no-partscan "$disk")
		model "$dev" shadow -t 5 -p 3 -e EIO >said &
		pid=$!
		# a flush that fails is the end of writing, so most of the first round is without
		sleep $((round == 1 ? 3 : 1))
		for _ in {1..4}; do
			become "$ill"
			sleep 0.02
			become "$well"
			sleep 0.3
		done
		wait "$pid" || fail "$options: the model failed"
		note_refused said
		qcowctl detach "$dev" || true
		status=0
		output=$(qemu-img check -f qcow2 "$disk" 2>&1) || status=$?
		[[ $status -eq 0 || $status -eq 3 ]] || fail "$options: status $status: $output"
	done
	qemu-img check -q -f qcow2 -r leaks "$disk" || fail "$options: leaks"
	qemu-img convert -t unsafe -f qcow2 -O raw "$disk" shadow
	dev=$(attach --no-partscan "$disk")
	model "$dev" shadow -n 30 -p 3
	detach "$dev"
	assert_clean "$disk"
	assert_image_is shadow "$disk"
	dmsetup remove flaky
done
[[ $refused -gt 0 ]] || fail "no write was refused"
