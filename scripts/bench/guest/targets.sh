# shellcheck shell=bash
# The contenders, in the guest. For every target there is a function that makes
# it ready and sets $path, and what it is to read. Sourced by guest/main.
#   $files       directory on ext4 on a RAM disk, with the images
#   $block_disk  RAM disk that holds data.qcow2 itself
# shellcheck disable=SC2154

nbd_used=()
loop_used=()
linear_used=()

target_raw() { path=$files/data.raw; }

target_loop() {
	path=$(losetup --find --show --read-only --direct-io=on "$files/data.raw")
	loop_used+=("$path")
	[[ $(losetup -nO DIO "$path" | tr -d ' ') -eq 1 ]] ||
		die "loop does no direct I/O"
}

# open_nbd IMAGE [AIO]
open_nbd() {
	path=/dev/nbd${#nbd_used[@]}
	qemu-nbd --read-only --format=qcow2 --cache=none --aio="${2:-native}" \
		--connect="$path" "$files/$1"
	nbd_used+=("$path")
	# it returns before the kernel knows the size
	for _ in {1..100}; do
		[[ $(blockdev --getsize64 "$path") -eq 0 ]] || return 0
		sleep 0.1
	done
	die "qemu-nbd: $path stays empty"
}

target_nbd() { open_nbd data.qcow2; }
target_nbd-uring() { open_nbd data.qcow2 io_uring; }
target_nbd-zlib() { open_nbd zlib.qcow2; }
target_nbd-zstd() { open_nbd zstd.qcow2; }

open_qcow() { path=$(qcowctl attach -r --no-partscan --direct-io on "$1"); }

target_qcow() { open_qcow "$files/data.qcow2"; }
target_qcow-zlib() { open_qcow "$files/zlib.qcow2"; }
target_qcow-zstd() { open_qcow "$files/zstd.qcow2"; }
target_qcow-bdev() { open_qcow "$block_disk"; }

target_raw-bdev() { path=$block_disk; }

target_linear-bdev() {
	dmsetup create bench --readonly --table \
		"0 $(blockdev --getsz "$block_disk") linear $block_disk 0"
	dmsetup mknodes bench
	linear_used+=(bench)
	path=/dev/mapper/bench
}

# The image whose bytes a target must read.
content_of() {
	case $1 in
	raw-bdev | linear-bdev) echo data.qcow2 ;;
	*) echo data.raw ;;
	esac
}

# All must go as cleanly as it came.
close_targets() {
	local name
	[[ ! -c /dev/qcow-control ]] || qcowctl detach --all
	for name in "${nbd_used[@]}"; do qemu-nbd --disconnect "$name" >/dev/null; done
	for name in "${loop_used[@]}"; do losetup --detach "$name"; done
	for name in "${linear_used[@]}"; do dmsetup remove "$name"; done
}
