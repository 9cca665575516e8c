#!/bin/bash
# Reads of an image in a file are submitted by a worker of their own CPU where the task sleeps until
# each has ended, and by one of any CPU where it goes on with the next. The disk below takes its
# time, as otherwise no task has a reason to sleep.
# kernels: 6.12
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

READS=2000

tracing=/sys/kernel/tracing
mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing"
event=$tracing/events/workqueue/workqueue_queue_work

# queued DEPTH READS: how often the submission was queued for this CPU, and for any
queued() {
	echo >"$tracing/trace"
	echo 1 >"$event/enable"
	fio --name=reads --filename="$dev" --rw=randread --bs=4k --direct=1 --ioengine=libaio \
		--iodepth="$1" --norandommap --number_ios="$2" --size=64M --output=fio.log
	echo 0 >"$event/enable"
	awk -v name="${dev#/dev/}" '
		index($0, "workqueue=" name "-local ") { here++ }
		index($0, "workqueue=" name "-submit ") { any++ }
		END { print here + 0, any + 0 }' "$tracing/trace"
}

modprobe null_blk nr_devices=0
ram_disk below 96 irqmode=2 completion_nsec=300000
mkfs.ext4 -q -F /dev/below
mkdir mnt
mount /dev/below mnt
qemu-img create -q -f qcow2 mnt/image 64M
qemu-io -f qcow2 -c "write -P 7 0 64M" mnt/image >qemu-io.log
dev=$(attach -r mnt/image)
echo 8192 >"$tracing/buffer_size_kb"

read -r here any < <(queued 1 "$READS")
echo "depth 1: $here times here, $any times anywhere"
[[ $((here + any)) -gt $((READS * 9 / 10)) && $any -lt $((READS / 10)) ]] || fail "a task that sleeps"

# At its begin and end, and where it is kept from its CPU, such a task waits, too: of many reads, few,
# unless the machine is busy with other things all the time.
for attempt in 1 2 3 4 5; do
	read -r here any < <(queued 32 $((4 * READS)))
	echo "depth 32: $here times here, $any times anywhere"
	[[ $any -eq 0 || $here -ge $((any / 2)) ]] || break
	[[ $attempt -lt 5 ]] || fail "a task that goes on"
done
detach "$dev"
umount mnt
echo 0 >/sys/kernel/config/nullb/below/power
rmdir /sys/kernel/config/nullb/below
