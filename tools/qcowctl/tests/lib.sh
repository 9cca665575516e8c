# shellcheck shell=bash
# What the tests share; tests/run starts each in a fresh directory that is
# removed afterwards.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/part.sh
. "$here/../../../scripts/part.sh"
# No sanitizer report goes unseen: its status is none of qcowctl's.
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=exitcode=99:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$here/leaks.list:print_suppressions=0
export TZ=UTC

# Exit statuses, as in qcowctl.h.
# shellcheck disable=SC2034 # used by the tests
USAGE=1 NOT_QCOW=3 BAD_IMAGE=4 UNSUPPORTED=5 BUSY=6 POLICY=7 NO_DRIVER=8 NOT_FOUND=9 WRONG_KEY=10

die() {
	printf '%s\n' "$*" >&2
	exit 1
}

# expect STATUS PATTERN ARGUMENT...: qcowctl ends with this status and its
# messages match the regular expression.
expect() {
	local status=$1 pattern=$2 got=0
	shift 2
	"$QCOWCTL" "$@" >out 2>err </dev/null || got=$?
	[[ $got -eq $status ]] || die "qcowctl $*: status $got, not $status: $(cat err)"
	grep -qE -- "$pattern" err || die "qcowctl $*: no message like '$pattern': $(cat err)"
}

# Everything is fine until the driver is needed, which this machine does not have.
expect_ready() {
	[[ ! -e /dev/qcow-control ]] || die "the driver is loaded: run this test elsewhere"
	expect "$NO_DRIVER" 'the driver is not there' attach "$@"
}

create() {
	qemu-img create -q -f "$@"
}

# QEMU's options for the key of an encrypted image.
secret=(--object "secret,id=key,data=secret")

# create_luks FILE SIZE. QEMU measures how fast the machine is, which fails now and then on a busy
# one.
create_luks() {
	local try
	for try in {1..20}; do
		create qcow2 "${secret[@]}" \
			-o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10 "$@" \
			>out 2>&1 && return
	done
	die "$try tries: $(cat out)"
}

# encrypted_io COMMAND...: on the file image, with the key
opened=driver=qcow2,file.filename=image,encrypt.key-secret=key
encrypted_io() {
	local command
	local -a args=()
	for command in "$@"; do
		args+=(-c "$command")
	done
	qemu-io "${secret[@]}" --image-opts "${args[@]}" "$opened" >out 2>&1 || die "$*: $(cat out)"
	! grep -q 'failed\|verification' out || die "$*: $(cat out)"
}

# luks_place IMAGE: where its LUKS header is, where the header extension says so
luks_place() {
	python3 - "$1" <<-'PY'
	import struct, sys
	with open(sys.argv[1], "rb") as f:
	    head = f.read(4096)
	at = head.index(bytes.fromhex("0537be7700000010")) + 8
	print(struct.unpack_from(">Q", head, at)[0], at)
	PY
}

# QEMU ends with 1 after a good conversion to a compressed version 1 image.
create_v1_compressed() {
	qemu-img convert -c -f raw -O qcow "$1" "$2" 2>/dev/null || [[ -s $2 ]]
}

io() {
	local image=$1 format=$2 command
	local -a args=()
	shift 2
	for command in "$@"; do
		args+=(-c "$command")
	done
	qemu-io -f "$format" "${args[@]}" "$image" >/dev/null
}

# same_info FORMAT IMAGE [OPTION...]: what qemu-img says of it
same_info() {
	local format=$1 image=$2
	shift 2
	qemu-img info -U --output=json -f "$format" "$@" "$image" >want.json
	"$QCOWCTL" info --output json "$@" "$image" >got.json
	python3 "$here/compare.py" info want.json got.json || die "info of $image differs"
	"$QCOWCTL" info "$@" "$image" >out
	grep -q 'virtual size: ' out || die "no text for people about $image"
}

# same_map FORMAT IMAGE [OPTION...]
same_map() {
	local format=$1 image=$2
	shift 2
	qemu-img map -U --output=json -f "$format" "$image" >want.json
	"$QCOWCTL" map --output json "$@" "$image" >got.json
	python3 "$here/compare.py" map want.json got.json || die "map of $image differs"
	"$QCOWCTL" map "$@" "$image" >out
	[[ $(wc -l <out) -ge 2 ]] || die "no text for people about $image"
}

# poke FILE OFFSET HEXBYTES
poke() {
	python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))' "$3" |
		dd of="$1" bs=1 seek="$(($2))" conv=notrunc status=none
}

# drop_snapshot_size IMAGE: the first snapshot is one by an old program, which states no size
drop_snapshot_size() {
	python3 - "$1" <<'PY'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(64)
    at = struct.unpack(">Q", f.read(8))[0]
    f.seek(at + 36)
    f.write(struct.pack(">I", 0))
PY
}

# unstate IMAGE: make the backing file's format an extension of unknown type;
# QEMU makes no such image any more, but they are around.
unstate() {
	python3 - "$1" <<-'PY'
	import sys
	with open(sys.argv[1], "r+b") as f:
	    at = f.read(4096).index(bytes.fromhex("e2792aca"))
	    f.seek(at)
	    f.write(bytes.fromhex("e2792acb"))
	PY
}

# make_both FORMAT ARGUMENT...: qemu-img makes an image in want/, qcowctl in got/,
# with the same command line
make_both() {
	local format=$1
	shift
	mkdir -p want got
	(cd want && qemu-img create -q -f "$format" "$@")
	(cd got && "$QCOWCTL" create --force -f "$format" "$@") || die "create -f $format $*"
}

# same_new FORMAT [IMAGE]: what make_both made is clean and the same
same_new() {
	local format=$1 image=${2-image} dir
	if [[ $format != qcow ]]; then
		(cd got && qemu-img check -q -f "$format" "$image") || die "check of $image"
	fi
	for dir in want got; do
		(cd "$dir" && qemu-img info --output=json -f "$format" "$image") >"$dir.json"
		(cd "$dir" && qemu-img map --output=json -f "$format" "$image") >"$dir-map.json"
	done
	python3 "$here/compare.py" create want.json got.json || die "info of $image differs"
	python3 "$here/compare.py" create-map want-map.json got-map.json ||
		die "map of $image differs"
	(cd got && qemu-img compare -q -f "$format" -F "$format" "../want/$image" "$image") ||
		die "content of $image differs"
}

# refuse STATUS PATTERN ARGUMENT...: create fails and leaves the directory as it was
refuse() {
	local status=$1 pattern=$2 before
	shift 2
	: >out
	: >err
	before=$(ls -A)
	expect "$status" "$pattern" create "$@"
	[[ $(ls -A) == "$before" ]] || die "create $* left something behind: $(ls -A)"
}

# ends STATUS ARGUMENT...: with nothing said about messages
ends() {
	local status=$1 got=0
	shift
	"$QCOWCTL" "$@" >out 2>err </dev/null || got=$?
	[[ $got -eq $status ]] || die "qcowctl $*: status $got, not $status: $(cat err)"
}

# start_holder COMMAND...: it has its input from $feed, and ends at release
start_holder() {
	mkfifo in.fifo
	"$@" <in.fifo >holder.log 2>&1 &
	holder=$!
	exec {feed}>in.fifo
}
# await_holder TEXT: until it says so
await_holder() {
	for _ in $(seq 100); do
		grep -q "$1" holder.log && return
		sleep 0.1
	done
	die "no '$1': $(cat holder.log)"
}
# hold IMAGE [OPTION...]: QEMU has it open until release
hold() {
	local image=$1
	shift
	start_holder qemu-io "$@" -f qcow2 "$image"
	echo 'read 0 512' >&"$feed"
	await_holder 'read 512/512'
}
# hold_lock ro|rw|share IMAGE: it is locked as qcowctl does it until release
hold_lock() {
	start_holder "$TEST_LOCK" "$@"
	await_holder locked
}
release() {
	exec {feed}>&-
	wait "$holder"
	rm in.fifo
}

# Go on in a directory in memory, if there is one: a repair waits for the disk often.
in_memory() {
	[[ -w /dev/shm ]] || return 0
	memory=$(mktemp -d -p /dev/shm)
	trap 'rm -rf "$memory"' EXIT
	cd "$memory" || exit
}

# with_faults LIBRARY...: those that can be preloaded, out of cut, journal and fail; RANDOM goes on from
# $seed.
with_faults() {
	local lib
	random_seed
	seed=$SEED
	for lib; do
		cc -O1 -shared -fPIC -D_GNU_SOURCE -o "$lib.so" "$here/$lib.c"
	done
	export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
}

# The following have "${command[@]}" change image, a copy of BASE, whatever goes wrong, and each time
# JUDGE, an exported function, look at it. How often is in $number. Where BASE is a directory, the files
# in it are copied.

# as_before BASE
as_before() {
	if [[ -d $1 ]]; then
		cp "$1"/* .
	else
		cp "$1" image
	fi
}
# cut_in_journal BASE JUDGE SEED TRIES: image has been changed, with what was written in journal
cut_in_journal() {
	local image=image
	[[ ! -d $1 ]] || image=.
	number=$(python3 "$here/journal.py" journal "$1" "$image" "$3" "$4" <<<"$2 image") ||
		die "${command[*]}: seed $seed"
}

# cut_at_writes BASE JUDGE FIRST STEP: at each of the first writes, then at some
cut_at_writes() {
	local n status
	number=0
	for ((n = 0; ; n += n < $3 ? 1 : $4)); do
		status=0
		as_before "$1"
		CUT=$n LD_PRELOAD=$PWD/cut.so "${command[@]}" || status=$?
		[[ $status -eq 77 ]] || break
		"$2" image
		number=$((number + 1))
	done
	[[ $status -eq 0 ]] || die "${command[*]}: status $status"
}

# fail_calls BASE JUDGE FIRST STEP ACCEPT: ACCEPT says whether an exit status is one of these
fail_calls() {
	local n status
	number=0
	for ((n = 0; ; n += n < $3 ? 1 : $4)); do
		status=0
		as_before "$1"
		rm -f failed
		FAIL=$n FAILED=failed LD_PRELOAD=$PWD/fail.so "${command[@]}" 2>err || status=$?
		[[ -e failed ]] || break
		"$5" "$status" || die "call $n: status $status: $(cat err)"
		"$2" image
		number=$((number + 1))
	done
}

# An image that is damaged by what failed before is refused; what is longer may fail to become shorter.
is_2_4_or_0() { [[ $1 -eq 2 || $1 -eq 4 || $1 -eq 0 ]]; }

# What a rebase is judged by: $format of the image; $old and $new backing file, each empty for none,
# $old_format and $new_format; want has what is to be read.

# clean IMAGE: no corruption, and no leak but in version 1
clean() {
	local status=0
	"$QCOWCTL" check "$1" >"$1.check" 2>&1 || status=$?
	[[ $status -eq 0 || ($status -eq 3 && $format == qcow) ]] || die "$(cat "$1.check")"
}
# judge_rebased IMAGE: it reads as before; version 1 does not say what its backing file is
# shellcheck disable=SC2154 # the tests set them
judge_rebased() {
	local backing now
	clean "$1"
	now=$(qemu-img info --output json "$1" | sed -n 's/^    "backing-filename": "\(.*\)",*/\1/p')
	[[ $now == "$old" || $now == "$new" ]] || die "backing file $now"
	backing=driver=$old_format,file.driver=file,file.filename=$old
	[[ $now == "$old" ]] || backing=driver=$new_format,file.driver=file,file.filename=$new
	if [[ $format == qcow && -n $now ]]; then
		qemu-img convert -O raw --image-opts \
			"driver=qcow,file.driver=file,file.filename=$1,backing.${backing//,/,backing.}" \
			"$1.raw"
	else
		qemu-img convert -f "$format" -O raw "$1" "$1.raw"
	fi
	cmp "$1.raw" want || die "it reads otherwise, on '$now'"
}

# make_bases: what images are rebased to
make_bases() {
	create raw raw 3M
	io raw raw 'write -P 9 0 2M'
	cp raw same
	io same raw 'write -P 8 1M 64K' 'write -P 0 1500K 100K'
	head -c 700K same >short
	create qcow2 -o compression_type=zstd base 2M
	io base qcow2 'write -P 9 0 1M' 'write -P 7 1M 200K' 'write -c -P 6 1984K 64K'
	create qcow2 -b base -F qcow2 deep 3M
	io deep qcow2 'write -P 9 1M 200K' 'write -z 1600K 64K'
}

# rebase_command: sets command, which rebases the file image
# shellcheck disable=SC2034 # the tests run it
rebase_command() {
	command=("$QCOWCTL" rebase -b "$new" image)
	[[ -z $new ]] || command+=(-F "$new_format")
	[[ $format != qcow || -z $old ]] || command+=(--old-format "$old_format")
}

# What a compaction is judged by.

# contents IMAGE: all that is read from the active state and the snapshots, and the bitmaps, as text
contents() {
	local id
	qemu-img convert -O raw "$1" "$1.raw"
	cksum <"$1.raw"
	for id in $(qemu-img snapshot -l "$1" | awk 'NR > 2 { print $1 }'); do
		qemu-img convert -l "snapshot.id=$id" -O raw "$1" "$1.raw"
		echo "$id $(cksum <"$1.raw")"
	done
	if qemu-img info "$1" | grep -q 'bitmaps:'; then
		python3 "$here/bitmaps.py" "$1"
	fi
	rm "$1.raw"
}
# is_short IMAGE: it ends where what it has would without gaps, but for a place for a row of tables
# and for counts: those that a last pass would need once more
is_short() {
	local used clusters counts
	read -r used clusters counts <<<"$(python3 "$here/space.py" "$1")"
	[[ $clusters -le $((used + 2 * counts + used / 50 + 8)) ]]
}
# add_writes NUMBER BYTES: of $disk bytes, to $writes; a subshell would have other random numbers.
# shellcheck disable=SC2154 # the tests set them
add_writes() {
	local i at len
	for ((i = 0; i < $1; i++)); do
		at=$(((RANDOM << 15 | RANDOM) % disk & ~511))
		len=$(((RANDOM << 15 | RANDOM) % $2 & ~511))
		len=$((at + len + 512 > disk ? disk - at : len + 512))
		case $((RANDOM % 8)) in
		0) writes+=("write -z $at $len") ;;
		1 | 2) writes+=("discard $at $len") ;;
		*) writes+=("write -P $((RANDOM % 255 + 1)) $at $len") ;;
		esac
	done
}
