#!/bin/bash
# Attach and detach in a loop while others open and read whatever device is there, and
# lazy detaches under readers: nothing hangs, what is read is right, nothing is left.
# kernels: debug 6.1
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

rounds=15
random_seed
noise_files
qemu-img create -q -f qcow2 image 2M
random_writes 2097152 65536 noise text compressed
image_io qcow2 image "${WRITES[@]}"
raw_of image

# opener: reads of a device that comes and goes may fail, but not lie
opener() {
	until [[ -e stop ]]; do
		if dd if=/dev/qcow9 of="got$1" bs=64K 2>/dev/null &&
			[[ $(stat -c %s "got$1") -eq 2097152 ]]; then
			cmp "got$1" image.raw || return 1
			echo . >>"seen$1"
		fi
	done
}

opener 1 &
one=$!
opener 2 &
two=$!
for ((round = 0; round < rounds; round++)); do
	attach -r --device qcow9 image >/dev/null
	sleep 0.1
	if ((round % 2)); then
		detach --wait 20 /dev/qcow9
	else
		detach --lazy /dev/qcow9 2>/dev/null
		wait_for 20 test ! -e /sys/block/qcow9
	fi
done
: >stop
wait "$one" || fail "a reader saw other bytes"
wait "$two" || fail "a reader saw other bytes"
[[ -s seen1 || -s seen2 ]] || fail "no reader ever read the device"
assert_eq "$(find /sys/block -name 'qcow*')" "" "devices left"
