#!/bin/bash
# A disk of 4096-byte blocks: as such it is partitioned, written to and read again; as one of
# 512-byte blocks its partitions are not found, and qcowctl says why.
# kernels: 6.12 6.1
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

for cluster in 512 64K; do
	qemu-img create -q -f qcow2 -o "cluster_size=$cluster" disk 64M
	dev=$(attach --logical-block-size 4096 disk)
	assert_eq "$(blockdev --getss --getpbsz "$dev" | paste -sd' ')" "4096 4096" "block sizes"
	sfdisk -q --label gpt "$dev" <<<'start=1MiB, size=48MiB'
	[[ -b ${dev}p1 ]] || fail "there is no ${dev}p1"
	assert_fails . dd if="$dev" of=/dev/null bs=512 count=1 iflag=direct
	mkfs.ext4 -q -b 4096 "${dev}p1"
	mkdir -p mnt
	mount -o discard "${dev}p1" mnt
	fill mnt/data 6M
	cp mnt/data mnt/more
	sum=$(md5sum <mnt/data)
	rm mnt/more
	umount mnt
	blkdiscard -z -o 52M -l 4096 "$dev"
	detach "$dev"
	qemu-img check -q disk

	dev=$(attach -r disk 2>said)
	grep -q "$dev: warning: its partition table (GPT) is for blocks of 4096 bytes" said ||
		fail "no word about the blocks: $(<said)"
	[[ ! -e ${dev}p1 ]] || fail "there is a ${dev}p1"
	detach "$dev"

	dev=$(attach -r --logical-block-size 4096 disk 2>said)
	[[ ! -s said ]] || fail "$(<said)"
	mount -o ro "${dev}p1" mnt
	assert_eq "$(md5sum <mnt/data)" "$sum" "sum of a file"
	umount mnt
	detach "$dev"
done
qemu-img create -q -f qcow2 odd $(((8 << 20) + 512))
assert_refused 4 "size 8389120: no multiple of the logical block size 4096" \
	qcowctl attach --logical-block-size 4096 odd
assert_refused 1 "'1024' is neither 512 nor 4096" qcowctl attach --logical-block-size 1024 disk
