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

# run_tests NAME COMMAND...: a program that prints `ok TEST` and `not ok TEST`
# itself; it counts as one test when it does not.
run_tests() {
	local name=$1 log err=0 line
	shift
	mkdir -p "$BUILD/check"
	log=$BUILD/check/run-${name//\//-}.log
	"$@" >"$log" 2>&1 </dev/null || err=$?
	if ! grep -qE '^(not )?ok ' "$log"; then
		[[ $err -eq 0 ]] || cat "$log" >&2
		step "$name" [ "$err" -eq 0 ]
		return
	fi
	while IFS= read -r line; do
		case $line in
		'ok '*) pass "$name/${line#ok }" ;;
		'not ok '*) flunk "$name/${line#not ok }" ;;
		*) say "$line" ;;
		esac
	done <"$log"
	# a death that no line of result tells of
	[[ $err -eq 0 ]] || grep -q '^not ok ' "$log" || flunk "$name" "status $err"
}

finish() { [[ $failures -eq 0 ]]; }
