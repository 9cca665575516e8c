#!/bin/bash
# 12 images, each the content of the device before, all on block devices: reads need no more of the
# kernel's stack than a few devices do.
# kernels: 6.12
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

LEVELS=12
STACK=$((16 << 10))

tracing=/sys/kernel/tracing
mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing"

fill content 256K
cp content image
for ((level = 0; level < LEVELS; level++)); do
	qemu-img convert -f raw -O qcow2 -o cluster_size=4K image next
	mv next image
	truncate -s %4K image
done
dd if=image of=/dev/ram1 bs=64K conv=fsync status=none

dev=/dev/ram1
for ((level = 0; level < LEVELS; level++)); do
	dev=$(attach -r --no-partscan "$dev")
	assert_attr "$dev" store bdev
	devices=("$dev" "${devices[@]}")
done

echo 1 >/proc/sys/kernel/stack_tracer_enabled
# the first time tables are read in workers
for ((times = 0; times < 3; times++)); do
	echo 1 >/proc/sys/vm/drop_caches
	cmp -n "$(stat -c %s content)" "$dev" content
	dd if="$dev" of=read bs=64K iflag=direct status=none
	cmp -n "$(stat -c %s content)" read content
done
echo 0 >/proc/sys/kernel/stack_tracer_enabled
most=$(<"$tracing/stack_max_size")
echo "at most $most bytes of the stack"
[[ $most -gt 0 ]] || fail "nothing was measured"
[[ $most -lt $((STACK / 2)) ]] || fail "$most bytes of the stack: $(<"$tracing/stack_trace")"
detach "${devices[@]}"
