#!/bin/bash
# A task that submits a read of the device and reads of the disk below in one batch, as many as that
# disk has tags, gets all of them: nothing waits for a tag while the task's plug is being flushed.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

TAGS=32
BATCHES=200

# batches IMAGE TASKS: of an ordinary user's
batches() {
	local dev pid pids=() task
	dev=$(attach -r "$1")
	chmod 444 "$dev"
	# what is in the cache does not wait
	cmp "$dev" data || fail "$1 differs"
	for ((task = 0; task < $2; task++)); do
		timeout 40 setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$QCOW_ROOT/scripts/vm/guest/batches" "$dev" "$PWD/mnt/plain" "$TAGS" "$BATCHES" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "$1: batches do not end"
	done
	detach "$dev"
}

modprobe null_blk nr_devices=0
fill data 4M
qemu-img convert -f raw -O qcow2 data image
ram_disk below 128 submit_queues=1 hw_queue_depth="$TAGS" blocksize=4096
printf ',64M\n,\n' | sfdisk -q /dev/below
udevadm settle 2>/dev/null || true
wait_for 5 test -b /dev/below2

mkfs.ext4 -q -b 4096 /dev/below1
mkdir mnt
mount /dev/below1 mnt
chmod 755 . mnt
dd if=/dev/urandom of=mnt/plain bs=1M count=16 status=none
chmod 644 mnt/plain
cp image mnt/image
sync -f mnt
dd if=image of=/dev/below2 bs=64K conv=fsync status=none

for scheduler in none mq-deadline; do
	echo "$scheduler" >/sys/block/below/queue/scheduler
	batches mnt/image 1
	batches /dev/below2 2
done
umount mnt
echo 0 >/sys/kernel/config/nullb/below/power
rmdir /sys/kernel/config/nullb/below
