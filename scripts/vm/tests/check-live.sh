#!/bin/bash
# The metadata of a device is checked while it is written to: what is right is called so, faults are
# found as in the detached image, and leaks are given back.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

# found IMAGE|DEVICE: what is wrong, in any order, without what depends on where the file ends
found() {
	local err=0
	qcowctl check --output json "$1" >said.json 2>said || err=$?
	sed "s|^qcowctl: $1: ||" said | sort
	grep -E '"(corruptions|leaks|check-errors|allocated-clusters|total-clusters)"' said.json || true
	echo "status $err"
}

fault() { python3 -ES "$QCOW_ROOT/tools/qcowctl/tests/fault.py" "$1" image; }

is_checked() { qcowctl list -n --raw -o JOB "$dev" | grep -q 'check.*%'; }

is_gone() { [[ ! -e /sys/block/${dev#/dev/} ]]; }

stop_writers() {
	touch stop
	wait "${writers[@]}" || fail "a writer"
	rm stop
}

random_seed
# format, options of qemu-img create, and what the image has
kinds=("qcow - plain" "qcow2 cluster_size=512 plain" "qcow2 cluster_size=64K snapshot"
	"qcow2 cluster_size=4K,refcount_bits=64 bitmap" "qcow2 cluster_size=2M plain"
	"qcow2 extended_l2=on snapshot" "qcow2 refcount_bits=1 plain"
	"qcow2 compat=0.10,cluster_size=1K snapshot" "qcow2 data_file=image.data plain")
one_in 3 kinds
for kind in "${kinds[@]}"; do
	read -r format options has <<<"$kind"
	echo "$kind"
	rm -f ./image* ./disk ./stop
	args=()
	[[ $options == - ]] || args=(-o "$options")
	qemu-img create -q -f "$format" "${args[@]}" image $(((48 << 20) + 2560))
	image_io "$format" image "write -q -P 3 1M 3M"
	[[ $has != snapshot ]] || qemu-img snapshot -c one image
	[[ $has != bitmap ]] || qemu-img bitmap --add image one
	qemu-img convert -f "$format" -O raw image disk
	dev=$(attach image)
	writers=()
	writer & writers+=("$!")
	# the slower it is the more is changed meanwhile
	for rate in "" 64K 256K 1M; do
		output=$(qcowctl check ${rate:+--rate "$rate"} "$dev" 2>&1) || fail "check $dev: $output"
		assert_match "$output" "No errors were found"
	done
	# by the name of the image, too
	assert qcowctl check -q image
	stop_writers
	if [[ $format == qcow2 ]]; then
		sync "$dev"
		cp --sparse=always image cut
		live=$(found "$dev" | grep -v 'leak\|more faults')
		assert_eq "$live" "$(found cut | sed "s/^status 3$/status 0/" | grep -v 'leak\|more faults')" "of a copy"
		rm cut
	fi
	detach "$dev"
	assert_clean image
	assert_image_is disk image "$format"
done

echo "faults"
rm -f ./image*
qemu-img create -q -f qcow2 -o cluster_size=4K base 48M
image_io qcow2 base "write -q -P 3 0 4M" "write -q -P 4 30M 4M"
for fault in leak-table leak-count leak-cluster low-data copied-clear-l2 beyond-l2; do
	cp base image
	fault "$fault"
	want=$(found image)
	dev=$(attach -r image)
	assert_eq "$(found "$dev")" "$want" "$fault, read-only"
	detach "$dev"
	# what the driver refuses to write to
	dev=$(qcowctl attach image 2>said) || continue
	assert_eq "$(found "$dev")" "$want" "$fault"
	# what is counted as free, or beyond the end, is used
	[[ $fault != *l2 && $fault != low-data ]] || { detach "$dev"; continue; }
	dd if=/dev/urandom of="$dev" bs=1M count=8 seek=12 oflag=direct status=none
	sync "$dev"
	assert_eq "$(found "$dev" | grep -v allocated)" "$(grep -v allocated <<<"$want")" "$fault, later"
	detach "$dev"
	assert_eq "$(found image | grep -v allocated)" "$(grep -v allocated <<<"$want")" "$fault, detached"
done

echo "leaks"
for options in cluster_size=4K cluster_size=64K,refcount_bits=64 cluster_size=512,refcount_bits=1; do
	rm -f ./image ./disk
	qemu-img create -q -f qcow2 -o "$options" image 48M
	image_io qcow2 image "write -q -P 3 0 8M"
	fault leak-cluster
	qemu-img convert -f qcow2 -O raw image disk
	assert_refused 3 'leaked cluster' qcowctl check image
	dev=$(attach image)
	assert_refused 3 'leaked cluster' qcowctl check "$dev"
	writers=()
	writer & writers+=("$!")
	assert_refused 1 'only leaks are repaired' qcowctl check -r all "$dev"
	assert qcowctl check -r leaks "$dev"
	output=$(qcowctl check "$dev" 2>&1) || fail "$output"
	stop_writers
	detach "$dev"
	assert_clean image
	assert_image_is disk image qcow2
done

# a count that is too high, of a cluster in use
cp base image
fault leak-count
dev=$(attach image)
assert_refused 2 '1 clusters have a count that only a repair of a detached image can change' qcowctl check -r leaks "$dev"
detach "$dev"
assert qcowctl check -r leaks image
assert_clean image

echo "beside other operations"
rm -f ./image ./disk
qemu-img create -q -f qcow2 -o cluster_size=512 image 64M
dev=$(attach image)
dd if=/dev/urandom of="$dev" bs=1M count=48 oflag=direct status=none
qcowctl check --rate 64K "$dev" >said 2>&1 &
checker=$!
wait_for 20 is_checked
assert_refused 6 'check is running' qcowctl snapshot -c one "$dev"
assert_refused 6 'check [0-9]*% is running' qcowctl detach "$dev"
# the device goes on
dd if=/dev/urandom of="$dev" bs=1M count=4 conv=fsync status=none
qcowctl job --cancel "$dev"
assert_status 1 wait "$checker"
# as qemu-img, it may add how much it had seen of the image
assert_eq "$(head -n 2 said)" "qcowctl: $dev: the check has been cancelled
1 internal errors have occurred during the check."
qcowctl check --rate 64K "$dev" >said 2>&1 &
checker=$!
wait_for 20 is_checked
kill -KILL "$checker"
wait "$checker" || true
wait_for 20 qcowctl snapshot -c one "$dev"
assert qcowctl check -q "$dev"
# lazily: with the end of the check
qcowctl check --rate 512K "$dev" >said 2>&1 &
checker=$!
wait_for 20 is_checked
qcowctl detach --lazy "$dev"
wait "$checker" || fail "check: $(<said)"
wait_for 20 is_gone
assert_clean image
