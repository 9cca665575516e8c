#!/bin/bash
# While the device below is suspended, readers wait, may be killed, and the device answers
# questions; when it is resumed they get what they wanted.
# kernels: debug 6.1
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

modprobe dm-mod
shared random
echo "0 $(blockdev --getsz /dev/ram1) linear /dev/ram1 0" | dmsetup create below
dmsetup mknodes

# suspended IMAGE: what it does while the device below is, and afterwards
suspended() {
	local dev pid
	dev=$(attach -r --cache-size 64K "$1")
	dmsetup suspend --noflush below
	dd if="$dev" of=direct bs=64K iflag=direct status=none &
	pids=($!)
	dd if="$dev" of=cached bs=64K status=none &
	pids+=($!)
	dd if="$dev" of=killed bs=4K status=none &
	sleep 2
	kill -KILL $!
	for pid in "${pids[@]}"; do
		kill -0 "$pid" || fail "a reader did not wait"
	done
	assert_attr "$dev" version 3
	assert_status 6 qcowctl detach "$dev"
	dmsetup resume below
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	cmp direct random.raw
	cmp cached random.raw
	wait
	detach "$dev"
}

dd if=random of=/dev/mapper/below bs=64K conv=fsync status=none
suspended /dev/mapper/below

mkfs.ext4 -q /dev/mapper/below 64M
mkdir mnt
mount /dev/mapper/below mnt
cp random mnt
sync -f mnt
suspended mnt/random
umount mnt
dmsetup remove below
