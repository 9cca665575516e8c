#!/bin/bash
# qcowctl attach prints the device alone; its partitions are there when it returns.
# kernels: 6.12 6.1 7.3
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

truncate -s 64M raw
sfdisk -q raw <<<$',16M\n,16M\n'
qemu-img convert -O qcow2 raw image

qcowctl attach -r image >out 2>err
assert_eq "$(cat out)" /dev/qcow0 "standard output"
[[ ! -s err ]] || fail "it said: $(cat err)"
dmesg | grep -F "qcow0: version 3, 67108864 bytes, 1 layer: $PWD/image" >/dev/null ||
	fail "the log does not name the image: $(dmesg | tail -n 5)"
[[ -b /dev/qcow0p1 && -b /dev/qcow0p2 ]] || fail "no partitions: $(ls /dev/qcow*)"
detach /dev/qcow0
[[ ! -e /dev/qcow0p1 ]] || fail "a partition is left"

dev=$(attach -r --no-partscan --device qcow7 --queue-depth 32 --nr-queues 1 \
	--cache-size 1M image)
assert_eq "$dev" /dev/qcow7
[[ ! -e /dev/qcow7p1 ]] || fail "partitions were scanned"
assert_eq "$(qcowctl list -n --raw -o QUEUES,QUEUE-DEPTH,CACHE-LIMIT,RO)" \
	"1 32 1048576 1" "options in list"
assert_fails 'qcow7 is attached already' qcowctl attach -r --device qcow7 image
assert_status 6 qcowctl attach -r --device qcow7 image
detach qcow7

# a name cannot write a line of its own into the log
mv image $'two\nlines'
qcowctl attach -q -r $'two\nlines' >out 2>err
[[ ! -s out && ! -s err ]] || fail "-q: it said: $(cat out err)"
dmesg | grep -F 'two\x0alines' >/dev/null || fail "in the log: $(dmesg | tail -n 5)"
detach qcow0
