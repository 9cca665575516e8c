#!/bin/bash
# A limit of the disk below (io.max) holds for the cgroup that submitted, on whatever way its I/O gets
# there: mapped to a block device, in a file, allocated, decompressed; and page cache that is filled
# is its own.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

MIB=4
KIB=$((MIB << 10))
LIMIT=$((4 << 20))

group=/sys/fs/cgroup/limited
echo "+io +memory" >/sys/fs/cgroup/cgroup.subtree_control
mkdir "$group"
trap 'rmdir "$group"' EXIT
modprobe null_blk nr_devices=0
ram_disk below 256

# charged: KiB that the cgroup has moved on the disk below
charged() {
	awk -v disk="$(</sys/block/below/dev)" '$1 == disk {
			gsub(/[a-z]*=/, "")
			kib = int(($2 + $3) / 1024)
		}
		END { print kib + 0 }' "$group/io.stat"
}

# page_cache: KiB that are charged to the cgroup
page_cache() { awk '$1 == "file" { print int($2 / 1024) }' "$group/memory.stat"; }

# assert_limited WHAT KIB COMMAND...: it moves so much there, no faster than it may
assert_limited() {
	local begin kib ms
	kib=$(charged)
	begin=${EPOCHREALTIME/./}
	(
		echo "$BASHPID" >"$group/cgroup.procs"
		"${@:3}"
	)
	ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
	kib=$(($(charged) - kib))
	echo "$1: $kib KiB in $ms ms"
	[[ $kib -ge $2 ]] || fail "$1: $kib KiB of $2"
	# what a group has not used for a while is let through at once
	[[ $ms -ge $(($2 * 750 / (LIMIT >> 10))) ]] || fail "$1: $ms ms"
}

reading() { dd if="$dev" of=/dev/null bs=1M count="$MIB" iflag=direct status=none; }
writing() { dd if=/dev/zero of="$dev" bs=1M count="$MIB" conv=notrunc "$@" status=none; }

fill data "${MIB}M"
qemu-img convert -f raw -O qcow2 data image
base64 -w 0 data >text
truncate -s "${MIB}M" text
qemu-img convert -c -f raw -O qcow2 text packed

limit() { echo "$(</sys/block/below/dev) rbps=$1 wbps=$1" >"$group/io.max"; }

dd if=image of=/dev/below bs=1M conv=fsync status=none
dev=$(attach /dev/below)
limit "$LIMIT"
assert_limited "read, block device" "$KIB" reading
assert_limited "overwrite, block device" "$KIB" writing oflag=direct
limit max
detach "$dev"

mkfs.ext4 -q -F /dev/below
mkdir mnt
mount /dev/below mnt
cp image packed mnt
qemu-img create -q -f qcow2 mnt/empty 64M
qemu-img create -q -f qcow2 mnt/buffered 64M
sync -f mnt
limit "$LIMIT"
dev=$(attach mnt/image)
assert_limited "read, file" "$KIB" reading
assert_limited "overwrite, file" "$KIB" writing oflag=direct
assert_limited "overwrite, page cache of the device" "$KIB" writing conv=fsync,notrunc
detach "$dev"
dev=$(attach mnt/empty)
assert_limited "new clusters" "$KIB" writing oflag=direct
detach "$dev"
dev=$(attach -r mnt/packed)
# each once, in no order: a cluster that is read ahead is nobody's
assert_limited "compressed" "$((KIB / 2))" fio --name=packed --filename="$dev" --rw=randread \
	--bs=64k --size="${MIB}M" --direct=1 --output=fio.log
detach "$dev"

# which cgroup's writeback a file belongs to is the file system's business; the memory is the
# writer's
dev=$(attach --direct-io off mnt/buffered)
before=$(page_cache)
(
	echo "$BASHPID" >"$group/cgroup.procs"
	writing oflag=direct
)
kib=$(($(page_cache) - before))
echo "page cache of the file: $kib KiB"
[[ $kib -ge $KIB ]] || fail "page cache of the file: $kib KiB of $KIB"
detach "$dev"
limit max
umount mnt
echo 0 >/sys/kernel/config/nullb/below/power
rmdir /sys/kernel/config/nullb/below
