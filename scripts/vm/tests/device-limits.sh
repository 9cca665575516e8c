#!/bin/bash
# A device has the block sizes and limits that fit its image, whatever the
# cluster size, and says that it is read-only.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# queue DEVICE NAME VALUE: assert it
queue() { assert_eq "$(cat "/sys/block/${1#/dev/}/queue/$2")" "$3" "$2 of $1"; }

for cluster in 512 65536 2097152; do
	qemu-img create -q -f qcow2 -o cluster_size=$cluster "i$cluster" 3M
	dev=$(attach -r --nr-queues 2 --queue-depth 16 "i$cluster")
	queue "$dev" logical_block_size 512
	queue "$dev" physical_block_size 512
	queue "$dev" minimum_io_size 512
	queue "$dev" optimal_io_size "$cluster"
	queue "$dev" rotational 0
	# it may be written to later
	queue "$dev" discard_max_bytes $((1 << 30))
	queue "$dev" write_zeroes_max_bytes $((1 << 30))
	queue "$dev" write_cache "write back"
	queue "$dev" nr_requests 16
	assert_attr "$dev" queue_depth 16
	assert_attr "$dev" nr_queues 2
	assert_attr "$dev" cluster_size "$cluster"
	queues=("/sys/block/${dev#/dev/}/mq"/*)
	assert_eq "${#queues[@]}" 2 "hardware queues"
	assert_eq "$(blockdev --getro "$dev") $(blockdev --getss "$dev") $(blockdev --getsz "$dev")" \
		"1 512 6144" "read-only, sector size, sectors"
	assert_eq "$(blockdev --getioopt "$dev")" "$cluster" "best I/O"
	assert_eq "$((0x$(stat -c %t "$dev")))" 259 "major number"
done
qcowctl detach --all
