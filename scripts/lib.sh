# shellcheck shell=bash
# Shared by the host-side scripts: where things are, and how to fail.
# Sourced, never run; the caller has set -euo pipefail.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${QCOW_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/qcow}
# Everything that is made out of the sources; git ignores it.
# shellcheck disable=SC2034 # used by the scripts that source this
BUILD=$ROOT/build
# "${TIED[@]}" COMMAND...: it gets a TERM when this shell ends, however that is. (A shell
# that does something else with a signal than die first waits for its foreground.)
# shellcheck disable=SC2034
TIED=(setpriv --pdeathsig TERM)

say() { printf '%s\n' "$*" >&2; }

die() {
	say "${0##*/}: $*"
	exit 1
}

# with_lock NAME COMMAND...: one process at a time, over all clones of a user.
with_lock() {
	local name=$1 lock err=0
	shift
	mkdir -p "$CACHE/locks"
	exec {lock}>"$CACHE/locks/$name"
	flock "$lock"
	# the child must not inherit the lock: daemons would keep it
	"$@" {lock}>&- || err=$?
	exec {lock}>&-
	return "$err"
}
