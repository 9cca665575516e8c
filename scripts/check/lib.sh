# shellcheck shell=bash
# For the stages in scripts/check: each prints `ok NAME` or `not ok NAME` on
# stdout for every single test, and what went wrong on stderr.

failures=0

pass() { printf 'ok %s\n' "$1"; }

flunk() {
	printf 'not ok %s%s\n' "$1" "${2:+ # $2}"
	failures=$((failures + 1))
}

# step NAME COMMAND...: one test, the command's status decides.
step() {
	local name=$1
	shift
	if "$@" >&2; then
		pass "$name"
	else
		flunk "$name"
	fi
}

finish() { [[ $failures -eq 0 ]]; }
