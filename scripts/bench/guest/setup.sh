# shellcheck shell=bash
# From the rows to targets that are ready, in the guest. Sourced by main and
# profile, which set $mode (time or count) and $images, the names of the images
# in the order of the virtio disks that hold them. ROWS: only these rows.
# shellcheck disable=SC2034,SC2154

files=/run/qcow/bench block_disk=/dev/ram1
PATH=$QCOW_ROOT/tools/qcowctl:$PATH
declare -A path_of=() targets_of=() count_of=()
patterns=()

progress() { printf '%5d s  %s\n' "$SECONDS" "$*" >>"$QCOW_OUT/progress"; }

add_row() {
	local target
	if [[ $mode == count ]]; then
		[[ $COUNT != - ]] || return 0
		count_of[$FIO]=${COUNT%%:*}
	fi
	[[ -n ${targets_of[$FIO]:-} ]] || patterns+=("$FIO")
	for target in $TARGETS; do
		# the servers' instructions would be counted, and take minutes
		[[ $mode != count || $target != nbd* ]] || continue
		[[ " ${targets_of[$FIO]:-} " == *" $target "* ]] ||
			targets_of[$FIO]+="${targets_of[$FIO]:+ }$target"
		path_of[$target]=''
	done
}

# original NAME: the image as a virtio disk, much faster to read than 9p
original() {
	local i
	for i in "${!images[@]}"; do
		[[ ${images[i]} != "$1" ]] || printf '/dev/vd%b\n' "\\x$((61 + i))"
	done
}

copy() { dd if="$(original "$1")" of="$2" bs=1M iflag=direct oflag=direct status=none; }

prepare_disks() {
	local name
	# they take memory only where they are written to
	modprobe brd rd_nr=3 rd_size=$((8 << 20))
	modprobe loop
	mkfs.ext4 -q -F /dev/ram0
	mkdir -p "$files"
	mount /dev/ram0 "$files"
	for name in "${images[@]}"; do
		copy "$name" "$files/$name"
	done
	[[ " ${!path_of[*]} " != *-bdev* ]] || copy data.qcow2 "$block_disk"
	[[ " ${!path_of[*]} " != *-new* ]] || prepare_fresh
	modprobe nbd nbds_max=8
	modprobe dm-mod
	modprobe dm-crypt
	modprobe qcow
	sync
}

# part FILE SKIP: 4 MiB of it at so many MiB
part() { dd if="$1" bs=1M count=4 skip="$2" iflag=direct status=none; }

# A contender that reads something else has measured something else.
verify() {
	local expected at
	expected=$(original "$(content_of "$1")")
	for at in 0 $(((size >> 20) - 4)); do
		cmp <(part "${path_of[$1]}" "$at") <(part "$expected" "$at") ||
			die "$1 reads other bytes than its original at $at MiB"
	done
}

open_targets() {
	local target path
	for target in "${!path_of[@]}"; do
		declare -F "target_$target" >/dev/null || die "no target '$target'"
		! is_fresh "$target" || continue
		path=''
		"target_$target"
		[[ -n $path && -e $path ]] || die "$target is not ready"
		path_of[$target]=$path
		verify "$target"
	done
	echo 3 >/proc/sys/vm/drop_caches
}

# Everything from the table of rows to open targets.
setup() {
	size=$(blockdev --getsize64 "$(original data.raw)")
	for_each_row "$QCOW_ROOT/scripts/bench/rows" add_row
	[[ ${#patterns[@]} -gt 0 ]] || die "no row to measure"
	progress "copying the images to RAM disks"
	prepare_disks
	progress "opening ${!path_of[*]}"
	open_targets
}

teardown() {
	close_targets
	umount "$files"
	! mountpoint -q "$fresh_files" || umount "$fresh_files"
	progress "done"
}
