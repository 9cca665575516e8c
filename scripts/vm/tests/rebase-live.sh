#!/bin/bash
# A device gets another backing file while it is mounted and written to (a fifth of the cases in one
# run): it reads as before, discards show nothing of the new file, and the old one is free.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

readonly MIB=$((1 << 20))
# A partition with a file system; one that is left alone; one that is written to as a disk, over the
# end of the old file.
readonly TABLE=$'start=2048, size=24576\nstart=26624, size=20480\nstart=47104, size=20480\n'

# put SOURCE FILE OFFSET BYTES: some of SOURCE in a file
put() {
	dd if="$1" of="$2" iflag=count_bytes oflag=seek_bytes bs=64K seek="$3" count="$4" \
		conv=notrunc status=none
}

# Files in the directory old differ from the others in all ways: data and zeros against data and
# zeros, on borders of clusters and elsewhere, the end; and in the file system.
make_files() {
	local i at
	mkdir tree
	fill tree/one 3M 3
	fill tree/two 2M 4
	truncate -s 34M a
	sfdisk -q a <<<"$TABLE"
	truncate -s 30M a
	mkfs.ext4 -q -d tree -E offset=$MIB a 12M
	fill other 512K 6
	fill more 3M 7
	for ((i = 0, at = 13 * MIB; at < 30 * MIB; i++, at += 512 << 10)); do
		[[ $((i % 3)) -eq 0 ]] || put other a "$at" $((512 << 10))
	done
	cp a b
	for ((i = 0, at = 13 * MIB; at < 30 * MIB; i++, at += 512 << 10)); do
		case $((i % 4)) in
		1) put more b "$at" $((512 << 10)) ;;
		2) fallocate -p -o "$at" -l $((512 << 10)) b ;;
		3) put more b $((at + 512 * (i + 1))) 5120 ;;
		esac
	done
	put more b $((7 * MIB)) $((3 * MIB))
	put more b $((30 * MIB)) $((3 * MIB))
	qemu-img convert -O qcow2 b b.qcow2
	qemu-img create -q -f qcow2 -b b.qcow2 -F qcow2 b.over 31M
	image_io qcow2 b.over "write -P 9 20M 100K" "write -z 14M 1M" "write -P 8 30M 64K" \
		"write -c -P 7 26M 64K"
	mkfs.ext4 -q /dev/ram1 128M
	mkdir old mnt
	mount /dev/ram1 old
	qemu-img convert -O qcow2 a old/a.qcow2
	cp --sparse=always a old/a
	umount old
	keep b b.qcow2 b.over
}

# files_writer, disk_writer: until the file stop is there
files_writer() {
	local i=0
	until [[ -e stop ]]; do
		i=$(((i + 1) % 3))
		dd if=/dev/urandom of="mnt/file$i" bs=64K count=$((8 + RANDOM % 8)) conv=fsync status=none
		sha256sum "mnt/file$i" >"sum$i"
	done
}

disk_writer() {
	until [[ -e stop ]]; do
		SEED=$((SEED + 1))
		model "${dev}p3" disk -t 1 -p 2 -z 0 -l 65536
	done
}

# begin FORMAT OPTIONS OLD: the image on a file in the directory old is attached and written to; in
# want what it has to read in the end, but for what is written
begin() {
	local options=()
	[[ $2 == - ]] || options=(-o "$2")
	rm -f image image.data stop sum?
	mount /dev/ram1 old
	qemu-img create -q -f "$1" "${options[@]}" -b "old/$3" -F "$(format_of "$3")" image 34M
	cp --sparse=always a want
	truncate -s 34M want
	args=()
	[[ $1 != qcow ]] || args=(--backing-format "$(format_of "$3")")
	dev=$(attach "${args[@]}" image)
	wait_for 10 test -b "${dev}p3"
	dd if=want of=disk bs=1M skip=23 count=10 status=none
	mount "${dev}p1" mnt
	assert_fails busy umount old
	files_writer & writers=("$!")
	disk_writer & writers+=("$!")
	wait_for 20 test -e sum1
}

# settle WRITER...: they end, and the device has what it is to have
settle() {
	local writer
	touch stop
	for writer; do
		wait "$writer" || fail "a writer"
	done
	umount mnt
	put disk want $((23 * MIB)) $((10 * MIB))
	dd if="${dev}p1" bs=1M status=none | dd of=want bs=1M seek=1 conv=notrunc status=none
	cmp "$dev" want
	e2fsck -fn "${dev}p1" >e2fsck.log 2>&1 || fail "e2fsck: $(<e2fsck.log)"
	mount -o ro "${dev}p1" mnt
	sha256sum -c --quiet sum?
	cmp tree/one mnt/one
	cmp tree/two mnt/two
	umount mnt
}

format_of() { case $1 in *.qcow2 | *.over) echo qcow2 ;; *) echo raw ;; esac; }

# layers IMAGE: those that QEMU finds, but for version 1, which does not say what they are
layers() { qemu-img info -U --backing-chain "$1" | sed -n 's/^image: //p' | paste -sd' '; }

# another FORMAT OPTIONS OLD NEW CHAIN...: backing file; CHAIN is what QEMU finds then
another() {
	local output depth=$(($# - 4)) chain=${*:5}
	begin "$1" "$2" "$3"
	output=$(qcowctl rebase -b "$4" -F "$(format_of "$4")" "$dev" 2>&1) ||
		fail "rebase: $output"
	assert_eq "$output" ""
	assert_attr "$dev" depth "$depth"
	assert_eq "$(attr "$dev" backing)" "$PWD/$4"
	assert_eq "$(qcowctl list -n --raw -o DEPTH,BACKING "$dev")" "$depth $PWD/$4"
	assert_eq "$(backing_of image)" "$4"
	# no file there is open any more, and others may not write to the new one
	umount old
	assert_fails "Failed to get .*lock" qemu-io -f "$(format_of "$4")" -c "write 0 512" "$4"
	settle "${writers[@]}"
	detach "$dev"
	assert_clean image
	[[ $1 == qcow ]] || assert_eq "$(layers image)" "$chain"
	assert_image_is want image "$1"
	[[ $1 != qcow ]] || args=(--backing-format "$(format_of "$4")")
	dev=$(attach -r "${args[@]}" image)
	assert_attr "$dev" depth "$depth"
	cmp "$dev" want
	detach "$dev"
	assert_unchanged
}

# none FORMAT OPTIONS OLD: no backing file
none() {
	begin "$1" "$2" "$3"
	qcowctl rebase -b '' image
	assert_attr "$dev" depth 1
	assert_attr "$dev" backing ""
	umount old
	settle "${writers[@]}"
	detach "$dev"
	assert_clean image
	assert_eq "$(backing_of image)" ""
	assert_image_is want image "$1"
}

# names FORMAT: alone; the device goes on with the file that it has
names() {
	local name
	begin "$1" - a
	for name in nowhere b; do
		qcowctl rebase -u -b "$name" -F raw "$dev"
		assert_eq "$(backing_of image)" "$name"
		assert_eq "$(attr "$dev" backing)" "$PWD/old/a"
		assert_attr "$dev" depth 2
	done
	settle "${writers[@]}"
	assert_fails busy umount old
	detach "$dev"
	umount old
	assert_clean image
	dev=$(attach -r "${args[@]}" image)
	assert_eq "$(attr "$dev" backing)" "$PWD/b"
	cmp -i $((13 * MIB)) -n $((10 * MIB)) "$dev" b
	detach "$dev"
}

# again: to a file, back, and there once more; the next one is that of an overlay
again() {
	local name
	begin qcow2 - a
	for name in b old/a b; do
		qcowctl rebase -b "$name" -F raw image
		assert_eq "$(attr "$dev" backing)" "$PWD/$name"
	done
	qcowctl overlay "$dev" top
	qcowctl rebase -b b.qcow2 -F qcow2 top
	assert_attr "$dev" depth 2
	umount old
	settle "${writers[@]}"
	detach "$dev"
	assert_clean image top
	assert_eq "$(layers top)" "top b.qcow2"
	assert_image_is want top
}

random_seed
make_files
cases=(
	"another qcow - a b image b"
	"none qcow - a"
	"names qcow2"
	"another qcow - a.qcow2 b.qcow2 image b.qcow2"
	"another qcow2 compat=0.10 a.qcow2 b image b"
	"none qcow2 data_file=image.data a.qcow2"
	"another qcow2 compat=0.10,cluster_size=512 a b.over image b.over b.qcow2"
	"another qcow2 cluster_size=512 a b.qcow2 image b.qcow2"
	"again"
	"names qcow"
	"another qcow2 cluster_size=64K a b.over image b.over b.qcow2"
	"none qcow2 cluster_size=4K a"
	"another qcow2 extended_l2=on,cluster_size=16K a.qcow2 b image b"
	"another qcow2 data_file=image.data a b image b"
	"none qcow2 compat=0.10 a.qcow2"
)
one_in 5 cases
for case in "${cases[@]}"; do
	echo "$case"
	read -r -a words <<<"$case"
	"${words[@]}"
done
