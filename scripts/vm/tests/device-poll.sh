#!/bin/bash
# Who polls the device polls the disk below, straight and through a file system: a disk that is
# slow to say that it is done, and done at once for who looks. When it cannot be polled any more,
# it is waited for.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

READS=1000
SLOW_MS=10

modprobe null_blk nr_devices=0
below=/sys/kernel/config/nullb/below
ram_disk below 96 submit_queues=2 poll_queues=2 irqmode=2 completion_nsec=$((SLOW_MS * 1000000))

# polling_fio OPTION...: without a submitter's polling it would wait for each
polling_fio() {
	fio --name=poll --filename="$dev" --direct=1 --ioengine=io_uring --hipri --bs=4k \
		--size=4M --output=fio.log "$@" || fail "fio $*: $(cat fio.log)"
}

# random_reads: sets $ms, how long they take one after the other
random_reads() {
	local begin=${EPOCHREALTIME/./}
	polling_fio --rw=randread --iodepth=1 --norandommap --number_ios="$READS" --io_size=1t
	ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
}

# assert_polled IMAGE
assert_polled() {
	local ms
	dev=$(attach "$1")
	assert_eq "$(cat "/sys/block/${dev##*/}/queue/io_poll")" 1
	polling_fio --rw=randwrite --iodepth=16 --verify=crc32c --do_verify=1
	random_reads
	echo "$1: $READS reads in $ms ms"
	[[ $ms -lt $((READS * SLOW_MS / 2)) ]] || fail "$READS reads take $ms ms: not polled"
	detach "$dev"
	assert_clean "$1"
}

random_seed
qemu-img create -q -f qcow2 -o preallocation=metadata image 16M
dd if=image of=/dev/below bs=1M conv=fsync status=none
assert_polled /dev/below

mkfs.ext4 -q -F /dev/below
mkdir mnt
mount /dev/below mnt
qemu-img create -q -f qcow2 -o preallocation=full mnt/image 16M
assert_polled mnt/image

# there null_blk itself divides by the number of its queues
if [[ $QCOW_KERNEL != 6.1 ]]; then
	READS=50
	echo "no polling any more"
	dev=$(attach mnt/image)
	echo 0 >"$below/poll_queues"
	random_reads
	[[ $ms -ge $((READS * SLOW_MS)) ]] || fail "$READS reads in $ms ms, without polling?"
	detach "$dev"
	dev=$(attach mnt/image)
	assert_eq "$(cat "/sys/block/${dev##*/}/queue/io_poll")" 0
	detach "$dev"
fi
umount mnt

echo 0 >"$below/power"
rmdir "$below"
