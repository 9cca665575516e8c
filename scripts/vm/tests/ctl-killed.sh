#!/bin/bash
# An attach that is killed leaves no device behind, whatever it was doing: reading the image, or
# looking for partitions on the disk that is there already.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

truncate -s 8M raw
sfdisk -q raw <<<'start=2048, size=4096'
qemu-img convert -f raw -O qcow2 raw image
modprobe null_blk nr_devices=0
# each I/O takes 0.2 s
ram_disk below 64 irqmode=2 completion_nsec=200000000
dd if=image of=/dev/below bs=1M oflag=direct status=none

gone() { [[ ! -e /sys/block/qcow5 ]] && ! qcowctl list 2>/dev/null | grep -q qcow5; }
has_disk() { [[ -e /sys/block/qcow5 ]]; }

# killed COMMAND...: the attach when that has ended
killed() {
	local pid
	qcowctl attach --device qcow5 /dev/below >said 2>&1 &
	pid=$!
	"$@"
	kill -KILL "$pid"
	assert_status 137 wait "$pid"
	wait_for 5 gone
}

for seconds in 0.5 0.9 1.3 1.7; do
	killed sleep "$seconds"
done
killed wait_for 20 has_disk
dev=$(attach --device qcow5 /dev/below)
[[ -b ${dev}p1 ]] || fail "no partition"
detach "$dev"
echo 0 >/sys/kernel/config/nullb/below/power
rmdir /sys/kernel/config/nullb/below
