#!/bin/bash
# Requests that are submitted together reach the disk below together, straight and through a
# file system, and so do the parts of a large one.
# kernels: 6.12
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

READS=2048
BATCH=16

tracing=/sys/kernel/tracing
mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing"
modprobe null_blk nr_devices=0
below=/sys/kernel/config/nullb/below
ram_disk below 96

# batches COMMAND...: how often requests were handed over together, how many at most, and how
# many in all, on whatever disk
batches() {
	echo >"$tracing/trace"
	echo 1 >"$tracing/events/block/block_unplug/enable"
	"$@" >&2
	echo 0 >"$tracing/events/block/block_unplug/enable"
	awk '/block_unplug:/ { n++; sum += $NF; if ($NF > most) most = $NF }
		END { print n + 0, most + 0, sum + 0 }' "$tracing/trace"
}

# assert_batched IMAGE: no two parts of its first MiB are neighbours
assert_batched() {
	local dev nr most sum
	dev=$(attach -r "$1")
	# what is in the cache does not wait
	cmp "$dev" image.raw || fail "$1 differs"
	read -r nr most sum < <(batches fio --name=batch --filename="$dev" --rw=randread --bs=4k \
		--direct=1 --ioengine=libaio --iodepth=32 --iodepth_batch="$BATCH" \
		--iodepth_batch_complete_min="$BATCH" --norandommap --number_ios="$READS" \
		--size=64M --output=fio.log)
	echo "$1: $sum requests in $nr batches"
	# once above, once below
	[[ $sum -ge $((2 * READS * 9 / 10)) && $((nr * BATCH)) -le $((sum * 5 / 4)) ]] ||
		fail "$sum requests in $nr batches"

	read -r nr most sum < <(batches dd if="$dev" of=read bs=1M count=1 iflag=direct status=none)
	assert cmp -n 1048576 read image.raw
	echo "$1: at most $most in a batch of 1 MiB"
	[[ $most -ge $BATCH ]] || fail "$most parts of 1 MiB in a batch"
	detach "$dev"
}

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=4K image 64M
writes=()
for ((i = 0; i < 128; i++)); do
	writes+=(-c "write -s noise$((i % 8)) $((i * 37 % 128 * 8))k 4k")
done
qemu-io -f qcow2 "${writes[@]}" -c "write -s text0 1M 63M" image >qemu-io.log
qemu-img convert -O raw image image.raw

dd if=image of=/dev/below bs=1M conv=fsync status=none
assert_batched /dev/below

mkfs.ext4 -q -F /dev/below
mkdir mnt
mount /dev/below mnt
cp image mnt/image
sync
assert_batched mnt/image
umount mnt

echo 0 >"$below/power"
rmdir "$below"
