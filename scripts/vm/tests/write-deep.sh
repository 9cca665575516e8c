#!/bin/bash
# Random writes to an empty image, with as many in flight as four CPUs may have with all
# defaults, and more: every one ends, is read back, and nothing is wrong with the image.
# kernels: 6.12
# cpus: 8
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

JOBS=4

# write_deep DEPTH [ATTACH OPTION...]: each job with so many writes in flight
write_deep() {
	local depth=$1 dev
	shift
	qemu-img create -q -f qcow2 image 64G
	dev=$(qcowctl attach "$@" image)
	assert_progress "$dev" fio --name=deep --filename="$dev" --rw=randwrite --bs=4k \
		--direct=1 --ioengine=libaio --iodepth="$depth" --iodepth_batch_submit="$depth" \
		--iodepth_batch_complete_min=$((depth / 2)) --numjobs="$JOBS" \
		--cpus_allowed="0-$(($(nproc) - 1))" --cpus_allowed_policy=split \
		--size=16G --offset_increment=16G --number_ios=$((3 * depth)) \
		--randseed="$SEED" --verify=crc32c --verify_fatal=1 --output=fio.log
	echo "$JOBS times $depth in flight, attached with '$*': at most $most_in_flight"
	detach "$dev"
	assert_clean image
	rm image
}

random_seed
write_deep 120
write_deep 256
write_deep 512 --queue-depth 1024
