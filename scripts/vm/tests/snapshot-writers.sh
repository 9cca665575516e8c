#!/bin/bash
# Snapshots of a disk that 32 writers write to: each holds one moment, of each writer all that it
# had written until then and nothing later; so does the disk afterwards. One whose command is
# killed is there, or leaves nothing.
# kernels: 6.12
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

writers() { "$QCOW_ROOT/scripts/vm/guest/writers" "$@"; }

have_begun() { ! cmp -s progress progress.before; }

start_writers() {
	rm -f stop
	cp progress progress.before
	writers write "$dev" progress stop &
	busy=$!
	wait_for 30 have_begun
}

stop_writers() {
	touch stop
	wait "$busy" || fail "the writers"
}

names() { qemu-img snapshot -l image | awk 'NR > 2 { print $2 }' | paste -sd,; }

# check_moment SNAPSHOT LOW HIGH: what QEMU reads of it; of '' the disk
check_moment() {
	qemu-img convert -O raw ${1:+-l "$1"} image moment.raw
	writers check moment.raw "$2" "$3" || fail "${1:-the disk}"
	rm moment.raw
}

random_seed
cases=(cluster_size=64K "cluster_size=4K,refcount_bits=8" "cluster_size=16K,extended_l2=on")
half cases
for options in "${cases[@]}"; do
	echo "$options"
	truncate -s 0 progress
	truncate -s 256 progress
	qemu-img create -q -f qcow2 -o "$options" image 32M
	dev=$(attach image)
	expected=''
	for snapshot in one two; do
		start_writers
		cp progress "$snapshot.low"
		qcowctl snapshot -c "$snapshot" "$dev"
		cp progress "$snapshot.high"
		qcowctl snapshot -c "$snapshot-too" "$dev"
		[[ $snapshot != two ]] || qcowctl snapshot -d one "$dev"
		sleep 0.3
		qcowctl snapshot -d "$snapshot-too" "$dev"
		stop_writers
		detach "$dev"
		assert_clean image
		expected+=${expected:+,}$snapshot
		[[ $snapshot != two ]] || expected=two
		assert_eq "$(names)" "$expected" "snapshots"
		check_moment "$snapshot" "$snapshot.low" "$snapshot.high"
		check_moment '' progress progress
		dev=$(attach image)
	done

	start_writers
	for delay in 0.01 0.02 0.04 0.08 0.16; do
		timeout -s KILL "$delay" qcowctl snapshot -c "killed-$delay" "$dev" || true
	done
	stop_writers
	detach "$dev"
	assert_clean image
	check_moment '' progress progress
	check_moment two two.low two.high
	rm image
done
