# shellcheck shell=bash
# For the tests that cut the power; sourced after lib.sh. Needs the modules null_blk and
# dm-log-writes.

cut_setup() {
	modprobe null_blk
	modprobe dm-log-writes
	mkdir -p cut
	mount -t tmpfs -o size=1G cut cut
	cd cut || fail "no directory"
	random_seed
	SEED=$((SEED % 1000000))
	noise_files
}

# log_begin FILE MIB: /dev/mapper/logged, with the bytes of FILE at its start, logs what is
# written to it
log_begin() {
	ram_disk cutdata "$2"
	ram_disk cutlog 512
	dd if="$1" of=/dev/cutdata bs=1M conv=fsync status=none
	cat /dev/cutdata >initial
	dmsetup create logged --table \
		"0 $(blockdev --getsz /dev/cutdata) log-writes /dev/cutdata /dev/cutlog"
	dmsetup mknodes
	[[ -b /dev/mapper/logged ]] || fail "no dm device"
}

log_end() {
	dmsetup remove logged
	cp --sparse=always /dev/cutlog log
	ram_disk cutlog 1
	ram_disk cutdata 1
}

# cut_work COUNT PATH ZEROES [ATTACH OPTION...]: in two sessions
cut_work() {
	local count=$1 path=$2 zeroes=$3 dev
	shift 3
	rm -f history
	for _ in 1 2; do
		dev=$(attach --no-partscan "$@" "$path")
		"$QCOW_ROOT/scripts/vm/guest/powercut" -s "$SEED" -n "$count" -z "$zeroes" \
			"$dev" logged history || fail "powercut on $dev"
		detach "$dev"
		assert_clean "$path"
	done
}

# replay [OPTION...] [BACKING]: every point has been right
replay() {
	rm -rf at[0-9]*
	"$QCOW_ROOT/scripts/vm/guest/replay" -s "$SEED" "$@" || fail "replay $*"
	rm -rf at[0-9]*
}

# cut_image FORMAT OPTIONS ZEROES [BACKING]: an image that the power is cut of; ZEROES are
# discarded bytes that read as zeros. With encryption among OPTIONS, $KEY_FILE is the passphrase
cut_image() {
	local format=$1 options=$2 zeroes=$3 backing=${4:-} args=() allow=() key=()
	echo "$*"
	[[ $options == - ]] || args=(-o "$options")
	if [[ -n ${KEY_FILE:-} ]]; then
		args+=(--object "secret,id=key,file=$KEY_FILE")
		allow=(--key-file "$KEY_FILE") key=(-k "$KEY_FILE")
	fi
	if [[ -n $backing ]]; then
		fill "$backing" 3M
		args+=(-b "$PWD/$backing" -F raw)
		allow+=(--allow-backing "$PWD")
	fi
	rm -f image
	qemu-img create -q -f "$format" "${args[@]}" image 4M
	image_io "$format" image "write -q -s noise0 100K 70K" "write -q -s noise1 2M 40K" \
		"write -q -z 3000K 64K" "write -q -s noise2 3900K 60K"
	opened "$format" image
	qemu-img convert -O raw "${OPENED[@]}" raw
	log_begin image 24
	cut_work "${CUT_OPERATIONS:-300}" /dev/mapper/logged "$zeroes" "${allow[@]}"
	log_end
	replay -n "${CUT_POINTS:-1000}" -t "${CUT_SECONDS:-12}" "${key[@]}" log initial history raw \
		${backing:+"$backing"}
}

# commands DEVICE COUNT ZEROES COMMAND...: of qcowctl, while so many operations go on
commands() {
	local dev=$1 count=$2 zeroes=$3 args=()
	shift 3
	for command in "$@"; do
		args+=(-x "$command")
	done
	"$QCOW_ROOT/scripts/vm/guest/powercut" -s "$SEED" -n "$count" -z "$zeroes" "${args[@]}" \
		"$dev" logged history || fail "powercut on $dev: $*"
}

# applied DEVICE SNAPSHOT NUMBER: the disk is closed, and what it has then is in raw.NUMBER
applied() {
	commands "$1" 0 0 "snapshot -a $2"
	dd if="$1" of="raw.$3" bs=1M status=none
}

# cut_commands OPTIONS ZEROES: the power goes within commands on a device: snapshots made, applied
# and deleted, and the disk grows and shrinks, also by a snapshot of another size
cut_commands() {
	local zeroes=$2 dev count=$((${CUT_OPERATIONS:-160} / 4))
	echo "commands: $*"
	rm -f image history raw.[0-9]
	qemu-img create -q -f qcow2 -o "$1" image 4M
	image_io qcow2 image "write -q -s noise0 100K 70K" "write -q -s noise1 2M 40K" \
		"write -q -z 3000K 64K" "write -q -s noise2 3900K 60K"
	qemu-img convert -f qcow2 -O raw image raw
	log_begin image 40
	dev=$(attach --no-partscan /dev/mapper/logged)
	commands "$dev" "$count" "$zeroes" "snapshot -c one" "resize -q $((6 << 20))"
	commands "$dev" "$count" "$zeroes" "snapshot -c two"
	applied "$dev" one 1
	commands "$dev" "$count" "$zeroes" "resize -q $((8 << 20))" "snapshot -c three" \
		"snapshot -d one"
	commands "$dev" 0 0 "resize -q --shrink $((5 << 20))"
	applied "$dev" two 2
	commands "$dev" "$count" "$zeroes" "snapshot -d two" "snapshot -d three"
	detach "$dev"
	assert_clean /dev/mapper/logged
	log_end
	replay -f live -n "${CUT_POINTS:-36}" log initial history raw
}

# fs_work DIRECTORY COUNT: files that are synced, and marked so in the log, with copies in
# synced, while others change around them
fs_work() {
	local dir=$1 number name
	mkdir -p synced
	for ((number = 0; number < $2; number++)); do
		name=s$RANDOM.$number
		random 40000
		head -c $((R + 1)) "noise$((number % 8))" >"$dir/$name"
		mkdir -p "$dir/other"
		cp "$dir/s"* "$dir/other"
		sync "$dir/$name"
		cp "$dir/$name" synced/
		dmsetup message logged 0 mark "S:$name"
		[[ $((number % 4)) -ne 2 ]] || rm -r "$dir/other"
		[[ $((number % 3)) -ne 0 ]] || truncate -s "$R" "$dir/changed"
	done
}

# cut_file_system OPTIONS: of ext4 in an image
cut_file_system() {
	local dev
	echo "ext4 in $*"
	rm -rf image synced
	qemu-img create -q -f qcow2 -o "$1" image 16M
	dev=$(attach image)
	mkfs.ext4 -q -b 1024 -J size=2 "$dev"
	detach "$dev"
	log_begin image 32
	mkdir -p mnt
	dev=$(attach --no-partscan /dev/mapper/logged)
	mount "$dev" mnt
	fs_work mnt "${CUT_FILES:-20}"
	assert umount mnt
	detach "$dev"
	log_end
	replay -f ext4 -n "${CUT_POINTS:-1000}" -t "${CUT_SECONDS:-12}" log initial synced -
}

# cut_below FORMAT OPTIONS ZEROES: of the ext4 that the image is on
cut_below() {
	local args=() loop
	echo "on ext4: $*"
	[[ $2 == - ]] || args=(-o "$2")
	mkdir -p mnt
	rm -f disk
	truncate -s 40M disk
	mkfs.ext4 -q -J size=2 disk
	# not with mount -o loop: it may be that nobody else writes to what is mounted
	loop=$(losetup -f --show disk)
	mount "$loop" mnt
	qemu-img create -q -f "$1" "${args[@]}" mnt/image 4M
	image_io "$1" mnt/image "write -q -s noise0 100K 70K" "write -q -s noise2 3900K 60K"
	qemu-img convert -f "$1" -O raw mnt/image raw
	assert umount mnt
	losetup -d "$loop"
	log_begin disk 40
	mount /dev/mapper/logged mnt
	cut_work "${CUT_OPERATIONS:-300}" mnt/image "$3"
	assert umount mnt
	log_end
	replay -f file -n "${CUT_POINTS:-1000}" -t "${CUT_SECONDS:-12}" log initial history raw
}
