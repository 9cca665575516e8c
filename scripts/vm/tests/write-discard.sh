#!/bin/bash
# Discarded clusters read as zeros, their space goes back to the file system and is used
# again; zeroing with NOUNMAP keeps the space, without it does not; what is beside whole
# clusters is left alone by a discard and zeroed by zeroing.
# kernels: 6.12 6.1 7.3
# timeout: 150
. "$QCOW_ROOT/scripts/vm/lib.sh"

# used: bytes that the image has on the file system
used() {
	sync image
	echo $(($(stat -c %b image) * 512))
}

# kinds START LENGTH: what QEMU says of that range, one word: data, zero (with space of its
# own) or hole, or several
kinds() {
	qemu-img map -f "$format" --output=json image | python3 -ES -c '
import json
import sys
start, end = int(sys.argv[1]), int(sys.argv[1]) + int(sys.argv[2])
found = set()
for e in json.load(sys.stdin):
    if e["start"] < end and start < e["start"] + e["length"]:
        found.add("data" if e["data"] else "zero" if "offset" in e else "hole")
print(*sorted(found))' "$1" "$2"
}

M=$((1 << 20))
fill data 8M
for case in "qcow2 cluster_size=64K 65536" "qcow2 cluster_size=4K,compat=0.10 4096" \
	"qcow2 cluster_size=32K,extended_l2=on 32768" "qcow - 4096"; do
	read -r format options cluster <<<"$case"
	echo "$case"
	args=()
	[[ $options == - ]] || args=(-o "$options")
	qemu-img create -q -f "$format" "${args[@]}" image 16M
	dev=$(attach image)
	queue=/sys/block/${dev#/dev/}/queue
	assert_eq "$(<"$queue/discard_granularity")" "$cluster" "discard granularity"
	[[ $(<"$queue/discard_max_bytes") -gt 0 ]] || fail "no discard"
	[[ $(<"$queue/write_zeroes_max_bytes") -gt 0 ]] || fail "no write-zeroes"
	cp data shadow
	truncate -s 16M shadow
	dd if=data of="$dev" bs=1M oflag=direct conv=fsync status=none

	# discard
	before=$(used)
	[[ $before -ge $((8 * M)) ]] || fail "only $before bytes used"
	blkdiscard -o $((1 * M)) -l $((4 * M)) "$dev"
	dd if=/dev/zero of=shadow bs=1M seek=1 count=4 conv=notrunc status=none
	cmp "$dev" shadow || fail "after a discard"
	sync "$dev"
	freed() { [[ $(used) -le $((before - 4 * M + 6 * cluster)) ]]; }
	wait_for 10 freed
	# used again: the file does not grow
	length=$(stat -c %s image)
	dd if=data of="$dev" bs=1M seek=10 count=4 oflag=direct conv=fsync status=none
	dd if=data of=shadow bs=1M seek=10 count=4 conv=notrunc status=none
	[[ $(stat -c %s image) -le $((length + 4 * M)) ]] || fail "the file grew: $length"
	[[ $(used) -le $((before + 6 * cluster + M / 4)) ]] || fail "not used again: $(used)"
	cmp "$dev" shadow || fail "after using it again"

	# ragged: whole clusters at most by the discard, all by zeroing
	blkdiscard -o $((6 * M + 1536)) -l $((M - 4096 - 512)) "$dev"
	first=$(((6 * M + 1536 + cluster - 1) / cluster * cluster))
	end=$(((7 * M + 1536 - 4096 - 512) / cluster * cluster))
	dd if=/dev/zero of=shadow bs=512 seek=$((first / 512)) count=$(((end - first) / 512)) \
		conv=notrunc status=none
	cmp "$dev" shadow || fail "after a ragged discard"
	blkdiscard -z -o $((7 * M + 1536)) -l $((M / 2 + 512)) "$dev"
	dd if=/dev/zero of=shadow bs=512 seek=$((7 * 2048 + 3)) count=1025 conv=notrunc status=none
	cmp "$dev" shadow || fail "after ragged zeroing"
	# within one sector's cluster
	blkdiscard -z -o $((12 * M + 512)) -l 512 "$dev"
	dd if=/dev/zero of=shadow bs=512 seek=$((12 * 2048 + 1)) count=1 conv=notrunc status=none
	cmp "$dev" shadow || fail "after zeroing a sector"

	# with and without its space
	blkdiscard -z -o $((10 * M)) -l $M "$dev"
	fallocate -p -o $((11 * M)) -l $M "$dev"
	dd if=/dev/zero of=shadow bs=1M seek=10 count=2 conv=notrunc status=none
	cmp "$dev" shadow || fail "after zeroing"
	detach "$dev"
	assert_clean image
	qemu-img compare -q -f raw -F "$format" shadow image || fail "QEMU reads other bytes"
	assert_eq "$(kinds $((1 * M)) $((4 * M)))" hole "discarded"
	assert_eq "$(kinds $((11 * M)) $M)" hole "zeroed without space"
	case $options in
	*compat=0.10* | -)
		# no entry says so: they have to be written
		;;
	*)
		assert_eq "$(kinds $((10 * M)) $M)" zero "zeroed with space"
		;;
	esac
	rm image
done

# over a backing file: version 3 reads as zeros, version 2 at least as one of both
fill base 4M 2
for options in cluster_size=64K cluster_size=64K,extended_l2=on; do
	qemu-img create -q -f qcow2 -o "$options" -b base -F raw image 8M
	dev=$(attach image)
	cp base shadow
	truncate -s 8M shadow
	dd if=data of="$dev" bs=1M count=1 oflag=direct conv=fsync status=none
	dd if=data of=shadow bs=1M count=1 conv=notrunc status=none
	blkdiscard -o $((M / 2)) -l $((2 * M)) "$dev"
	dd if=/dev/zero of=shadow bs=512K seek=1 count=4 conv=notrunc status=none
	blkdiscard -z -o $((3 * M + 512)) -l $((2 * M)) "$dev"
	dd if=/dev/zero of=shadow bs=512 seek=$((3 * 2048 + 1)) count=4096 conv=notrunc status=none
	cmp "$dev" shadow || fail "over a backing file"
	detach "$dev"
	assert_clean image
	assert_image_is shadow image
	rm image
done

# version 2 cannot hide the backing file: it has no discards, and zeroing writes
qemu-img create -q -f qcow2 -o cluster_size=64K,compat=0.10 -b base -F raw image 8M
dev=$(attach image)
assert_eq "$(<"/sys/block/${dev#/dev/}/queue/discard_max_bytes")" 0 "discards of version 2"
assert_fails 'not supported' blkdiscard -l 1M "$dev"
cp base shadow
truncate -s 8M shadow
blkdiscard -z -o $((M / 2)) -l $((2 * M)) "$dev"
dd if=/dev/zero of=shadow bs=512K seek=1 count=4 conv=notrunc status=none
cmp "$dev" shadow || fail "zeroing over a backing file, version 2"
detach "$dev"
assert_clean image
assert_image_is shadow image
rm image

# a data file: its space goes back, and a raw one reads as the guest does
for raw in off on; do
	qemu-img create -q -f qcow2 -o "data_file=$raw.data,data_file_raw=$raw" image 16M
	dev=$(attach image)
	cp data shadow
	truncate -s 16M shadow
	dd if=data of="$dev" bs=1M oflag=direct conv=fsync status=none
	before=$(stat -c %b "$raw.data")
	blkdiscard -o $((1 * M + 512)) -l $((4 * M)) "$dev"
	dd if=/dev/zero of=shadow bs=64K seek=17 count=63 conv=notrunc status=none
	blkdiscard -z -o $((6 * M)) -l $M "$dev"
	dd if=/dev/zero of=shadow bs=1M seek=6 count=1 conv=notrunc status=none
	fallocate -p -o $((7 * M)) -l $((M + 512)) "$dev"
	dd if=/dev/zero of=shadow bs=512 seek=$((7 * 2048)) count=2049 conv=notrunc status=none
	cmp "$dev" shadow || fail "with a data file, raw=$raw"
	sync "$dev"
	[[ $(stat -c %b "$raw.data") -le $((before - 4 * M / 512)) ]] ||
		fail "raw=$raw: the data file keeps its space"
	dd if=data of="$dev" bs=64K seek=20 count=3 oflag=direct conv=fsync status=none
	dd if=data of=shadow bs=64K seek=20 count=3 conv=notrunc status=none
	cmp "$dev" shadow || fail "with a data file, raw=$raw, used again"
	detach "$dev"
	assert_clean image
	assert_image_is shadow image
	[[ $raw == off ]] || cmp -n $((16 * M)) "$raw.data" shadow ||
		fail "the raw data file differs"
	rm image
done
