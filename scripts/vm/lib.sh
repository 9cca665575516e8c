# shellcheck shell=bash
# For the tests in scripts/vm/tests, sourced at their start in the guest:
#
#   #!/bin/bash
#   # What must be so, in a sentence.
#   # kernels: 6.12 6.1 debug
#   # timeout: 60
#   . "$QCOW_ROOT/scripts/vm/lib.sh"
#
# A test starts in an empty directory of its own on ext4 on a RAM disk (direct
# I/O works there; $PWD is lost afterwards), with the module loaded and
# qcowctl, qemu-img and the like in PATH. It may not leave a device attached:
# that, a splat in the kernel log, or a module that does not unload afterwards
# is a failure. /dev/ram1 (1 GiB) is its to use. `# module: no` in the head
# leaves the loading of the module to the test.

set -euo pipefail

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

# assert_status STATUS COMMAND...: it ends with exactly that exit status.
assert_status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[[ $got -eq $want ]] || fail "status $got, not $want: $*"
}

# attach ARGUMENT...: as qcowctl attach; prints the device, which exists.
attach() {
	local dev
	dev=$(qcowctl attach "$@") || fail "qcowctl attach $*"
	[[ -b $dev ]] || fail "qcowctl attach $*: no block device '$dev'"
	printf '%s\n' "$dev"
}

detach() { qcowctl detach "$@" || fail "qcowctl detach $*"; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[[ $SECONDS -lt $end ]] || fail "waited too long for: $*"
		sleep 0.1
	done
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

# fill FILE SIZE [SEED]: repeatable bytes that do not compress.
fill() {
	openssl enc -aes-128-ctr -nosalt -K "$(printf '%032x' "${3:-1}")" \
		-iv 00000000000000000000000000000000 -in /dev/zero 2>/dev/null |
		head -c "$(numfmt --from=iec "$2")" >"$1" || true
	[[ $(stat -c %s "$1") -eq $(numfmt --from=iec "$2") ]] || fail "fill $1"
}
