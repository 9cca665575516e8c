#!/bin/bash
# With the smallest cache, random writes to an empty image end, however many are in flight and
# whether or not something flushes meanwhile; they are read back, and the image is whole.
# kernels: 6.12
# cpus: 2
# timeout: 150
. "$QCOW_ROOT/scripts/vm/lib.sh"

# write_deep DIRECT DEPTH [FIO OPTION...]: one queue, all over 256 slices of the L2 tables
write_deep() {
	local direct=$1 depth=$2 dev
	shift 2
	qemu-img create -q -f qcow2 image 8G
	dev=$(qcowctl attach --cache-size 256K --nr-queues 1 --queue-depth 1024 \
		--direct-io "$direct" image)
	assert_progress "$dev" fio --output=fio.log --filename="$dev" --bs=4k --direct=1 \
		--randseed="$SEED" --ioengine=libaio --size=7G \
		--name=deep --rw=randwrite --iodepth="$depth" --iodepth_batch_submit="$depth" \
		--iodepth_batch_complete_min=$((depth / 2)) --number_ios=$((2 * depth)) \
		--verify=crc32c --verify_fatal=1 "$@"
	echo "direct I/O $direct, $depth in flight, $*: at most $most_in_flight"
	detach "$dev"
	assert_clean image
	rm image
}

# writes at a place of their own, each followed by a flush
flushes=(--name=flushes --rw=randwrite --offset=7G --size=1G --iodepth=1 --number_ios=100
	--fsync=1)

random_seed
write_deep off 128
write_deep on 128 "${flushes[@]}"
write_deep on 1000
write_deep off 1000 "${flushes[@]}"
