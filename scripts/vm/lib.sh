# shellcheck shell=bash
# For the tests in scripts/vm/tests, sourced at their start in the guest:
#
#   #!/bin/bash
#   # What must be so, in a sentence.
#   # kernels: 6.12 6.1 debug
#   # timeout: 60
#   . "$QCOW_ROOT/scripts/vm/lib.sh"
#
# One whose kernels are none runs only when it is asked for by name. `# cpus: 4` asks for a guest
# of four CPUs, `# cpus: 1 8` for a run on each of these; without it, one will do. On the first
# kernel of its list a test is in every second run, on the others in every fourth one.
#
# A test starts in an empty directory of its own on ext4 on a RAM disk (direct
# I/O works there; $PWD is lost afterwards), with the module loaded and
# qcowctl, qemu-img and the like in PATH. It may not leave a device attached:
# that, a splat in the kernel log, or a module that does not unload afterwards
# is a failure. /dev/ram1 (1 GiB) is its to use. `# module: no` in the head
# leaves the loading of the module to the test.

set -euo pipefail
# shellcheck source=scripts/part.sh
. "$QCOW_ROOT/scripts/part.sh"

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

trap 'printf "FAILED: %s: line %s: %s\n" "$0" "$LINENO" "$BASH_COMMAND" >&2' ERR
set -E

# assert COMMAND...: it succeeds.
assert() { "$@" || fail "should succeed: $*"; }

# assert_eq ACTUAL EXPECTED [WHAT]
assert_eq() { [[ $1 == "$2" ]] || fail "${3:-value}: '$1', not '$2'"; }

# assert_match TEXT REGEX [WHAT]: extended regular expression.
assert_match() { [[ $1 =~ $2 ]] || fail "${3:-text}: no match of '$2' in: $1"; }

# assert_fails REGEX COMMAND...: it fails, with a message that matches.
assert_fails() {
	local regex=$1 output
	shift
	if output=$("$@" 2>&1); then
		fail "should fail: $*"
	fi
	[[ $output =~ $regex ]] || fail "no match of '$regex' in what '$*' said: $output"
}

# assert_refused STATUS REGEX COMMAND...: it fails with exactly that status and
# a message that matches.
assert_refused() {
	local want=$1 regex=$2 output got=0
	shift 2
	output=$("$@" 2>&1) || got=$?
	[[ $got -eq $want ]] || fail "status $got, not $want: $*: $output"
	[[ $output =~ $regex ]] || fail "no match of '$regex' in what '$*' said: $output"
}

# assert_status STATUS COMMAND...: it ends with exactly that exit status.
assert_status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[[ $got -eq $want ]] || fail "status $got, not $want: $*"
}

# attach ARGUMENT...: as qcowctl attach; prints the device, which exists. With QCOW_TINY in the
# environment, with the smallest cache where the arguments name none.
attach() {
	local dev tiny=()
	if [[ -n ${QCOW_TINY:-} ]]; then
		tiny=(--cache-size 256K)
		[[ " $* " != *" -r "* && " $* " != *" --snapshot "* ]] || tiny=(--cache-size 64K)
	fi
	dev=$(qcowctl attach "${tiny[@]}" "$@") || fail "qcowctl attach $*"
	[[ -b $dev ]] || fail "qcowctl attach $*: no block device '$dev'"
	printf '%s\n' "$dev"
}

detach() { qcowctl detach "$@" || fail "qcowctl detach $*"; }

# wait_for SECONDS COMMAND...: until it succeeds; three times as long on a machine that is busy.
wait_for() {
	local end=$((SECONDS + 3 * $1))
	shift
	until "$@"; do
		[[ $SECONDS -lt $end ]] || fail "waited too long for: $*"
		sleep 0.1
	done
}

# assert_progress DEVICE COMMAND...: it succeeds, and requests of the device end while it runs.
# When none has for 20 s, the test fails, with the blocked tasks in the kernel log; no signal
# reaches what hangs, so nobody waits for it. $most_in_flight: the most requests seen in flight.
assert_progress() {
	local stat=/sys/block/${1#/dev/}/stat counts ended last='' since=$SECONDS pid
	shift
	most_in_flight=0
	"$@" &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		read -r -a counts <"$stat"
		[[ ${counts[8]} -le $most_in_flight ]] || most_in_flight=${counts[8]}
		ended="${counts[0]} reads, ${counts[4]} writes, ${counts[11]} discards, ${counts[15]} flushes"
		[[ $ended == "$last" ]] || last=$ended since=$SECONDS
		if [[ $((SECONDS - since)) -ge 20 ]]; then
			echo w >/proc/sysrq-trigger
			fail "hangs with ${counts[8]} requests in flight, after $ended: $*"
		fi
		sleep 0.3
	done
	wait "$pid" || fail "failed: $*"
}

# kernel_log: what the kernel logged since the test began.
kernel_log() { dmesg | sed -n "1,/qcow-test: begin ${TEST_NAME:?}\$/!p"; }

assert_logged() {
	local log
	log=$(kernel_log)
	grep -Eq "$1" <<<"$log" || fail "not in the kernel log: $1"
}

assert_not_logged() {
	local log
	log=$(kernel_log)
	! grep -E "$1" <<<"$log" || fail "in the kernel log: $1"
}

# assert_same_content DEVICE IMAGE [QEMU-IMG OPTION...]: the device has the
# size and the bytes that qemu-img reads from the image.
assert_same_content() {
	local dev=$1 image=$2 raw
	shift 2
	raw=$(mktemp -p "$PWD" expected.XXXXXX)
	qemu-img convert "$@" -O raw "$image" "$raw" || fail "qemu-img convert $image"
	assert_eq "$(blockdev --getsize64 "$dev")" "$(stat -c %s "$raw")" "size of $dev"
	cmp "$dev" "$raw" || fail "$dev differs from $image"
	rm -f "$raw"
}

# assert_attached_equals IMAGE [ATTACH OPTION...]: attach read-only, compare,
# detach.
assert_attached_equals() {
	local image=$1 dev
	shift
	dev=$(attach -r "$@" "$image")
	assert_same_content "$dev" "$image"
	detach "$dev"
}

# opened FORMAT IMAGE: OPENED are the words for QEMU's programs to open it; with the passphrase in
# the file $KEY_FILE, where that is set: the image is encrypted then.
opened() {
	OPENED=(-f "$1" "$2")
	[[ -z ${KEY_FILE:-} ]] || OPENED=(--object "secret,id=key,file=$KEY_FILE" --image-opts
		"driver=$1,encrypt.key-secret=key,file.filename=$2")
}

# assert_clean IMAGE...: nothing is wrong with it and nothing leaked, for qcowctl and, but for
# version 1, for QEMU.
assert_clean() {
	local image output
	for image in "$@"; do
		output=$(qcowctl check "$image" 2>&1) || fail "qcowctl check $image: $output"
		[[ $(peek "$image" 4 4) -ne 1 ]] || continue
		opened qcow2 "$image"
		output=$(qemu-img check "${OPENED[@]}" 2>&1) || fail "qemu-img check $image: $output"
	done
}

# assert_image_is RAW IMAGE [FORMAT]: QEMU reads from IMAGE what RAW has.
assert_image_is() {
	local output args=(-f raw -F "${3:-qcow2}" "$1" "$2")
	opened "${3:-qcow2}" "$2"
	[[ -z ${KEY_FILE:-} ]] || args=("${OPENED[@]:0:3}" "driver=raw,file.filename=$1" "${OPENED[3]}")
	output=$(qemu-img compare "${args[@]}" 2>&1) || fail "$2 is not $1: $output"
}

# backing_of IMAGE: the name of its backing file, as QEMU reads it; nothing: it has none.
backing_of() {
	qemu-img info -U --output json "$1" | sed -n 's/^    "backing-filename": "\(.*\)",*/\1/p'
}

# fill FILE SIZE [SEED]: repeatable bytes that do not compress.
fill() {
	openssl enc -aes-128-ctr -nosalt -K "$(printf '%032x' "${3:-1}")" \
		-iv 00000000000000000000000000000000 -in /dev/zero 2>/dev/null |
		head -c "$(numfmt --from=iec "$2")" >"$1" || true
	[[ $(stat -c %s "$1") -eq $(numfmt --from=iec "$2") ]] || fail "fill $1"
}

# ram_disk NAME MIB [SETTING=VALUE...]: /dev/NAME, fresh, which takes memory where it is written
# to, and counts in /sys/block/NAME/stat what is asked of it. Needs the module null_blk, which
# has the settings.
ram_disk() {
	local dir=/sys/kernel/config/nullb/$1 setting
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
	if [[ -d $dir ]]; then
		echo 0 >"$dir/power"
		rmdir "$dir"
	fi
	mkdir "$dir"
	for setting in "size=$2" memory_backed=1 blocksize=512 discard=1 "${@:3}" power=1; do
		echo "${setting#*=}" >"$dir/${setting%%=*}"
	done
	[[ -b /dev/$1 ]] || fail "no /dev/$1"
}

# fio_verified DEVICE BYTES [OPTION...]: random writes to the first BYTES, each of them verified
fio_verified() {
	fio --name=random --filename="$1" --size="$2" --rw=randwrite --bsrange=512-64k \
		--bs_unaligned=0 --blockalign=512 --direct=1 --ioengine=libaio --iodepth=16 \
		--randseed="${SEED:?}" --verify=crc32c --verify_fatal=1 --norandommap=0 --minimal \
		"${@:3}" >fio.log 2>&1 || fail "fio on $1: $(<fio.log)"
}

# attr DEVICE NAME: value of an attribute of the driver, as /dev/qcow0 depth.
attr() { cat "/sys/block/${1#/dev/}/qcow/$2"; }

assert_attr() {
	local value
	read -r value <"/sys/block/${1#/dev/}/qcow/$2" || fail "$1 has no $2"
	assert_eq "$value" "$3" "$2 of $1"
}

# random BELOW: the next number of the sequence, in $R.
random() { R=$((((RANDOM << 30) ^ (RANDOM << 15) ^ RANDOM) % $1)); }

# poke FILE OFFSET HEX: overwrite bytes.
poke() {
	local at escaped=''
	for ((at = 0; at < ${#3}; at += 2)); do
		escaped+="\\x${3:at:2}"
	done
	printf '%b' "$escaped" | dd of="$1" bs=1 seek="$(($2))" conv=notrunc status=none
}

# peek FILE OFFSET BYTES: a big-endian number of 1, 2, 4 or 8 bytes.
peek() { od -An -v -j "$(($2))" -N "$3" -t "u$3" --endian=big "$1" | tr -d ' \n'; }

# counts IMAGE COMMAND...: look at its reference counts, or make them wrong; as guest/counts says.
counts() { "$QCOW_ROOT/scripts/vm/guest/counts" "$@"; }

# image_io FORMAT IMAGE COMMAND...: commands of qemu-io. A message of it is a
# failure: its exit status does not tell.
image_io() {
	local format=$1 image=$2 command output args=()
	shift 2
	for command in "$@"; do
		args+=(-c "$command")
	done
	opened "$format" "$image"
	output=$(qemu-io -t unsafe "${args[@]}" "${OPENED[@]}" 2>&1) || fail "qemu-io $image: $output"
	! grep -Ei 'fail|error|invalid|not found|cannot|denied|syntax|unable|argument' \
		<<<"$output" || fail "qemu-io $image: $*"
}

# noise_files: noise0 to noise7, bytes that do not compress, and text0 to text7,
# which do a bit. None is as long as whole clusters.
noise_files() { "$QCOW_ROOT/scripts/vm/guest/noise" "${SEED:?}"; }

# one_write KIND START LENGTH: adds to WRITES, somewhere in that range.
one_write() {
	local from len
	random "$(($3 / 512))"
	from=$(($2 + R * 512))
	random "$((($2 + $3 - from) / 512))"
	len=$(((R + 1) * 512))
	case $1 in
	noise | text) WRITES+=("write -s $1$((RANDOM % 8)) $from $len") ;;
	pattern) WRITES+=("write -P $((len / 512 % 255 + 1)) $from $len") ;;
	zero) WRITES+=("write -z $from $len") ;;
	unmap) WRITES+=("write -z -u $from $len") ;;
	discard) WRITES+=("discard $from $len") ;;
	esac
}

# one_compressed START LENGTH CLUSTER: whole clusters, which must be fresh.
one_compressed() {
	local sources=("-P 85" "-s text" "-s text" "-s noise") at source nr=$(($2 / $3))
	random "$nr"
	nr=$((R + 1))
	for ((at = $1; nr > 0; nr--, at += $3)); do
		source=${sources[RANDOM % 4]}
		[[ $source == -P* ]] || source+=$((RANDOM % 8))
		WRITES+=("write -c $source $at $3")
	done
}

# random_writes SIZE CLUSTER KIND...: commands for image_io in WRITES that make
# a fresh image a mixture of noise, text, pattern, zero, unmap, discard and
# (without an external data file) compressed.
random_writes() {
	local size=$1 cluster=$2 slot at kind
	shift 2
	WRITES=()
	slot=$((size / 24 / cluster * cluster))
	[[ $slot -ge $cluster ]] || slot=$cluster
	for ((at = 0; at + slot <= size; at += slot)); do
		random "$(($# + 1))"
		[[ $R -ne 0 ]] || continue
		kind=${!R}
		if [[ $kind == compressed ]]; then
			# a few: QEMU is slow at it in a guest
			one_compressed "$at" "$((slot < 8 * cluster ? slot : 8 * cluster))" \
				"$cluster"
		else
			one_write "$kind" "$at" "$slot"
		fi
	done
	# over the borders of what is there now
	for kind in "$@" "$@"; do
		random "$((size / 512))"
		at=$((R * 512))
		[[ $kind == compressed ]] ||
			one_write "$kind" "$at" "$((size - at < 300000 ? size - at : 300000))"
	done
}

# keep FILE...: assert_unchanged says that they are what they are now. (Checksums
# are slow in a guest.)
keep() {
	mkdir -p kept
	cp --parents --sparse=always -- "$@" kept
}

assert_unchanged() {
	local file files
	mapfile -t files < <(cd kept && find . -type f)
	[[ ${#files[@]} -gt 0 ]] || fail "nothing was kept"
	for file in "${files[@]}"; do
		cmp "kept/$file" "$file" || fail "$file has changed"
	done
}

# raw_of IMAGE [QEMU-IMG OPTION...]: IMAGE.raw, what QEMU reads from it.
raw_of() {
	local image=$1
	shift
	qemu-img convert "$@" -O raw "$image" "$image.raw" || fail "qemu-img convert $image"
}

# python - [ARGUMENT...] <PROGRAM: with qcowdev of scripts/vm/guest to import.
python() {
	PYTHONPATH=$QCOW_ROOT/scripts/vm/guest python3 -SB "$@" || fail "the program failed"
}

# assert_same_reads [-n COUNT] [DEVICE FILE]...: as assert_same_content, against
# files that are as long as the device, and in COUNT direct reads (default 60)
# of random places, lengths and buffers besides.
assert_same_reads() {
	"$QCOW_ROOT/scripts/vm/guest/compare" -s "${SEED:?}" "$@" || fail "compare $*"
}

# mount_silent DIR: a file system over it whose server does not answer, as a dead NFS.
mount_silent() {
	modprobe fuse
	python3 - "$1" <<-'PY' &
	import ctypes, os, sys, time
	where = sys.argv[1]
	fuse = os.open("/dev/fuse", os.O_RDWR)
	options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
	name = where.encode()
	if ctypes.CDLL(None).mount(name, name, b"fuse", 0, options):
	    raise SystemExit("no fuse")
	root = os.open(where, os.O_PATH)
	open(where + "-ready", "w").close()
	time.sleep(120)
	PY
	silent_server=$!
	wait_for 20 test -e "$1-ready"
}

# umount_silent DIR: the end of that.
umount_silent() {
	kill "$silent_server"
	wait "$silent_server" || true
	umount "$1"
}
