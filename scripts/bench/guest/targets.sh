# shellcheck shell=bash
# The contenders, in the guest. For every target there is a function that makes
# it ready and sets $path, and what it is to read. Sourced by setup.sh's users;
# the targets that begin empty are in fresh.sh.
#   $files       directory on ext4 on a RAM disk, with the images
#   $block_disk  RAM disk that holds data.qcow2 itself
# shellcheck disable=SC2154

# what is open: its path, and what it is (loop, crypt, nbd, linear, qcow)
declare -A opened=()
# images that qcow writes: image by path of the device
declare -A written=()
# what dm-crypt stands on: loop device by path
declare -A loop_below=()
key_file=$TMPDIR/key

# open_loop FILE [OPTION...]
open_loop() {
	path=$(losetup --find --show --direct-io=on "${@:2}" "$1")
	opened[$path]=loop
	[[ $(losetup -nO DIO "$path" | tr -d ' ') -eq 1 ]] ||
		die "loop does no direct I/O"
}

# qemu_opens IMAGE: WORDS are how QEMU's programs open it
qemu_opens() {
	WORDS=(-f qcow2 "$1")
	[[ $1 != *crypt* ]] || WORDS=(--object "secret,id=key,file=$key_file" --image-opts
		"driver=qcow2,encrypt.key-secret=key,file.filename=$1")
}

# open_nbd IMAGE [OPTION...]
open_nbd() {
	local number=0
	while [[ -n ${opened[/dev/nbd$number]:-} ]]; do number=$((number + 1)); done
	path=/dev/nbd$number
	qemu_opens "$1"
	qemu-nbd --cache=none --pid-file="$TMPDIR/nbd$number.pid" \
		--connect="$path" "${@:2}" "${WORDS[@]}"
	opened[$path]=nbd
	# it returns before the kernel knows the size
	for _ in {1..100}; do
		[[ $(blockdev --getsize64 "$path") -eq 0 ]] || return 0
		sleep 0.1
	done
	die "qemu-nbd: $path stays empty"
}

# open_qcow IMAGE [OPTION...]
open_qcow() {
	path=$(qcowctl attach --no-partscan --direct-io on "${@:2}" "$1")
	opened[$path]=qcow
}

# open_qcow_write IMAGE [OPTION...]: which is checked when it is closed
open_qcow_write() {
	open_qcow "$@"
	written[$path]=$1
}

# open_crypt FILE: as dm-crypt and the loop driver read it, with the cipher that LUKS of QEMU has by
# default
open_crypt() {
	local loop name=bench-${1##*/}
	open_loop "$1"
	loop=$path
	unset "opened[$loop]"
	dmsetup create "$name" --table "0 $(blockdev --getsz "$loop") crypt aes-xts-plain64 \
$(printf '%0128d' 12345) 0 $loop 0"
	dmsetup mknodes "$name"
	path=/dev/mapper/$name
	opened[$path]=crypt
	loop_below[$path]=$loop
}

# make_crypt FILE: the bytes of data.raw for open_crypt()
make_crypt() {
	[[ ! -e $1 ]] || return 0
	fallocate -l "$size" "$1"
	open_crypt "$1"
	copy data.raw "$path"
	close_path "$path"
}

# make_qcow_crypt FILE: an image with the bytes of data.raw, encrypted with the same cipher
make_qcow_crypt() {
	[[ ! -e $1 ]] || return 0
	printf bench >"$key_file"
	qcowctl create -q -f qcow2 -o encrypt.format=luks,encrypt.iter-time=10 \
		--key-file "$key_file" "$1" "$size"
	open_qcow "$1" --key-file "$key_file"
	copy data.raw "$path"
	close_path "$path"
}

target_raw() { path=$files/data.raw; }
target_loop() { open_loop "$files/data.raw" --read-only; }
target_nbd() { open_nbd "$files/data.qcow2" --read-only --aio=native; }
target_nbd-uring() { open_nbd "$files/data.qcow2" --read-only --aio=io_uring; }
target_nbd-zlib() { open_nbd "$files/zlib.qcow2" --read-only --aio=native; }
target_nbd-zstd() { open_nbd "$files/zstd.qcow2" --read-only --aio=native; }
target_qcow() { open_qcow "$files/data.qcow2" -r; }
# Three overlays; each has a cluster, so that each has an L2 table to look into.
target_qcow-chain() {
	local below=data.qcow2 layer
	for layer in 1 2 3; do
		qemu-img create -q -f qcow2 -b "$below" -F qcow2 "$files/chain$layer.qcow2"
		dd if="$files/data.raw" of="$TMPDIR/cluster" bs=64k count=1 skip=$((layer * 16)) status=none
		qemu-io -f qcow2 -c "write -s $TMPDIR/cluster ${layer}M 64k" \
			"$files/chain$layer.qcow2" >/dev/null
		below=chain$layer.qcow2
	done
	open_qcow "$files/$below" -r
}
target_qcow-zlib() { open_qcow "$files/zlib.qcow2" -r; }
target_qcow-zstd() { open_qcow "$files/zstd.qcow2" -r; }

target_raw-bdev() { path=$block_disk; }
target_qcow-bdev() { open_qcow "$block_disk" -r; }

target_linear-bdev() {
	dmsetup create bench --readonly --table \
		"0 $(blockdev --getsz "$block_disk") linear $block_disk 0"
	dmsetup mknodes bench
	path=/dev/mapper/bench
	opened[$path]=linear
}

# Of the two that read the image one has written it.
target_loop-crypt() {
	make_crypt "$files/crypt.raw"
	open_crypt "$files/crypt.raw"
}

target_nbd-crypt() {
	make_qcow_crypt "$files/crypt.qcow2"
	open_nbd "$files/crypt.qcow2" --read-only --aio=native
}

target_qcow-crypt() {
	make_qcow_crypt "$files/crypt.qcow2"
	open_qcow "$files/crypt.qcow2" -r --key-file "$key_file"
}

target_loop-crypt-write() {
	make_crypt "$files/crypt-write.raw"
	open_crypt "$files/crypt-write.raw"
}

target_nbd-crypt-write() {
	make_qcow_crypt "$files/nbd-crypt-write.qcow2"
	open_nbd "$files/nbd-crypt-write.qcow2" --aio=native
}

target_qcow-crypt-write() {
	make_qcow_crypt "$files/qcow-crypt-write.qcow2"
	open_qcow_write "$files/qcow-crypt-write.qcow2" --key-file "$key_file"
}

# Fully allocated images to write to. The readers' stay what they are; the raw
# file is loop's too, they take turns.
writable() { [[ -e $files/$2 ]] || copy "$1" "$files/$2"; }

target_raw-write() {
	writable data.raw write.raw
	path=$files/write.raw
}

target_loop-write() {
	writable data.raw write.raw
	open_loop "$files/write.raw"
}

target_nbd-write() {
	writable data.qcow2 nbd-write.qcow2
	open_nbd "$files/nbd-write.qcow2" --aio=native
}

target_qcow-write() {
	writable data.qcow2 qcow-write.qcow2
	open_qcow_write "$files/qcow-write.qcow2"
}

target_qcow-write-bitmap() {
	if [[ ! -e $files/qcow-bitmap.qcow2 ]]; then
		copy data.qcow2 "$files/qcow-bitmap.qcow2"
		qemu-img bitmap --add "$files/qcow-bitmap.qcow2" bench
	fi
	open_qcow_write "$files/qcow-bitmap.qcow2"
}

# The image whose bytes a target must read.
content_of() {
	case $1 in
	raw-bdev | linear-bdev) echo data.qcow2 ;;
	*) echo data.raw ;;
	esac
}

# The server goes later than the device, and keeps its image open until then.
close_nbd() {
	local pid
	pid=$(<"$TMPDIR/${1##*/}.pid")
	qemu-nbd --disconnect "$1" >/dev/null
	for _ in {1..100}; do
		[[ -e /proc/$pid || -e /sys/block/${1##*/}/pid ]] || return 0
		sleep 0.1
	done
	die "qemu-nbd: $1 does not disconnect"
}

# check_image IMAGE: what damages the image that it writes is no contender
check_image() {
	local said
	qemu_opens "$1"
	said=$(qemu-img check "${WORDS[@]}" 2>&1) ||
		die "qcow wrote ${1##*/}, qemu-img check ends with $?: $said"
}

# close_path PATH: as cleanly as it came; of a plain file nothing is open
close_path() {
	case ${opened[$1]:-} in
	loop) losetup --detach "$1" ;;
	crypt)
		dmsetup remove "${1##*/}"
		losetup --detach "${loop_below[$1]}"
		;;
	nbd) close_nbd "$1" ;;
	linear) dmsetup remove "$1" ;;
	qcow) qcowctl detach "$1" ;;
	esac
	[[ -z ${written[$1]:-} ]] || check_image "${written[$1]}"
	unset "opened[$1]" "written[$1]"
}

close_targets() {
	local path
	for path in "${!opened[@]}"; do close_path "$path"; done
}
