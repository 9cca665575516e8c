# shellcheck shell=bash
# Targets that begin empty, so that what is written is allocated: their names
# end in -new. They are made and opened for every round anew, and closed after
# it. Sourced after setup.sh and targets.sh.
# shellcheck disable=SC2034,SC2154

fresh_disk=/dev/ram2 fresh_files=/run/qcow/fresh
fresh_size=$((4 << 30))
empty=$files/empty.qcow2

is_fresh() { [[ $1 == *-new ]]; }

prepare_fresh() {
	# nothing is to be initialised behind the measurements
	mkfs.ext4 -q -F -N 1024 -E lazy_itable_init=0,lazy_journal_init=0 "$fresh_disk"
	mkdir -p "$fresh_files"
	mount "$fresh_disk" "$fresh_files"
	qemu-img create -q -f qcow2 -o cluster_size=64k "$empty" "$fresh_size"
}

# fresh_limit FIO: how many bytes a round writes at most. Of an image's clusters
# a fourth where they are touched at random, so that hardly any is hit twice; and
# of the guest's memory what there is.
fresh_limit() {
	local bs bytes
	read -r _ bs _ <<<"$1"
	bytes=$((${bs%k} << 10 << 14))
	echo $((bytes < 512 << 20 ? bytes : 512 << 20))
}

sparse_file() {
	path=$fresh_files/$1.raw
	truncate -s "$fresh_size" "$path"
}

empty_image() {
	path=$fresh_files/$1.qcow2
	cp "$empty" "$path"
}

target_raw-new() { sparse_file raw; }

target_loop-new() {
	sparse_file loop
	open_loop "$path"
}

target_nbd-new() {
	empty_image nbd
	open_nbd "$path" --aio=native
}

target_qcow-new() {
	empty_image qcow
	open_qcow_write "$path"
}

bytes_of() { if [[ -b $1 ]]; then blockdev --getsize64 "$1"; else stat -c %s "$1"; fi; }

open_fresh() {
	local path='' bytes
	"target_$1"
	bytes=$(bytes_of "$path")
	[[ $bytes -eq $fresh_size ]] || die "$1 has $bytes bytes instead of $fresh_size"
	path_of[$1]=$path
}

# close_fresh TARGET...: and give the memory back
close_fresh() {
	local target
	for target in "$@"; do close_path "${path_of[$target]}"; done
	rm -f "$fresh_files"/*.raw "$fresh_files"/*.qcow2
	sync -f "$fresh_files"
	fstrim "$fresh_files"
}
