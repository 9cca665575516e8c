#!/bin/bash
# Numbers that are out of range are refused with the range, by qcowctl or by
# the driver, and those at its ends are taken.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# refused STATUS REGEX OPTION VALUE
refused() { assert_refused "$1" "$2" qcowctl attach -r "$3" "$4" image; }

qemu-img create -q -f qcow2 image 1M
cpus=$(getconf _NPROCESSORS_CONF)
for number in 0 4097 -1 x 1x ''; do
	refused 1 "'$number' is no number from 1 to 4096" --nr-queues "$number"
done
refused 4 "queues: $((cpus + 1)), must be at most $cpus" --nr-queues $((cpus + 1))
for number in 0 4097; do
	refused 1 "'$number' is no number from 1 to 4096" --queue-depth "$number"
done
for size in 0 x 64X -1; do
	refused 1 "'$size' is no size" --cache-size "$size"
done
refused 1 "'99999999999999999999' is too large" --cache-size 99999999999999999999
refused 4 'cache size: 65535 bytes, must be at least 65536' --cache-size 65535
assert_refused 4 'cache size: 262143 bytes, must be at least 262144 to write' \
	qcowctl attach --cache-size 262143 image
for name in qcow sda 7 qcow-1 qcow1x qcow99999999999; do
	refused 1 "'$name' is not of the form qcowN" --device "$name"
done
refused 4 'device number: 1048576, must be at most 1048575' --device qcow1048576

dev=$(attach -r --nr-queues "$cpus" --queue-depth 4096 --cache-size 64K \
	--device qcow1048575 image)
assert_eq "$dev" /dev/qcow1048575
assert_attr "$dev" queue_depth 4096
assert_attr "$dev" cache_limit 65536
detach "$dev"
dev=$(attach -r --nr-queues 1 --queue-depth 1 --cache-size 1G image)
assert_attr "$dev" queue_depth 1
assert_attr "$dev" cache_limit $((1 << 30))
cmp -n 1048576 "$dev" /dev/zero
detach "$dev"
