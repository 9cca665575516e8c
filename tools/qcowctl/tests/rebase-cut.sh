#!/bin/bash
# Power fails at each write of a change of names, and any sectors that no sync had made durable are
# lost; each call fails once; there is no space: the names are those of before or of afterwards.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal fail

# state IMAGE: names as QEMU reads them, and all entries
state() {
	qemu-img info --output json "$1" | grep -E '^    "(full-)?backing' || true
	"$QCOWCTL" info --dump --output json "$1" | python3 -c '
import json, sys
dump = json.load(sys.stdin)
print({k: v for k, v in dump.items() if k.startswith(("l1", "l2"))})'
}
# judge IMAGE
judge() {
	local now
	"$QCOWCTL" check "$1" >"$1.check" 2>&1 || die "$(cat "$1.check")"
	now=$(state "$1")
	[[ $now == "$before" || $now == "$after" ]] ||
		die "neither before nor afterwards: $now; before $before; afterwards $after"
}
export -f state judge die
export QCOWCTL before after

name() {
	printf '%0*d' "$1" "$RANDOM"
}
# what is longer may fail to become shorter
is_failure_or_done() { [[ $1 -eq 2 || ($1 -eq 0 && $(state image) == "$after") ]]; }

# step NAME [FORMAT]: change the names of base, with all that can go wrong
step() {
	local command=("$QCOWCTL" rebase -u -b "$1" image)
	[[ -z ${2-} ]] || command+=(-F "$2")
	cp base image
	before=$(state image)
	JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}" 2>err || {
		# no room for two names
		grep -q 'has no room for' err || die "$(cat err)"
		cmp base image
		refused=$((refused + 1))
		return
	}
	after=$(state image)
	cp image next
	cut_in_journal base judge "$RANDOM" 3
	points=$((points + number))
	cut_at_writes base judge 1 1
	fail_calls base judge 1 1 is_failure_or_done
	failures=$((failures + number))
	mv next base
}
points=0 failures=0 refused=0
kinds=(cluster_size=512 cluster_size=1K cluster_size=2K compat=0.10 v1)
one_in 3 kinds
for options in "${kinds[@]}"; do
	if [[ $options == v1 ]]; then
		create qcow base 1M
		io base qcow 'write -P 1 0 10K'
	else
		create qcow2 -o "$options" base 1M
		io base qcow2 'write -P 1 0 10K'
		# extensions that go beyond the first sector
		[[ $options != *2K ]] || qemu-img bitmap --add base b
	fi
	for length in 30 320 0 1023; do
		format=raw
		[[ $((RANDOM % 2)) -eq 0 ]] || format=qcow2
		[[ $options != v1 ]] || format=''
		if [[ $length -eq 0 ]]; then
			step ''
		else
			step "$(name "$length")" $format
		fi
	done
done
echo "$points cuts, $failures failed calls, $refused times no room"
[[ $points -gt $((20 * ${#kinds[@]})) && $failures -gt $((12 * ${#kinds[@]})) ]]
# the longest name has no room in a cluster of at most 1 KiB
[[ $refused -ge $(printf '%s\n' "${kinds[@]}" | grep -c '=\(512\|1K\)$') ]]

# a limit of the file's length is a full disk
create qcow base 1M
io base qcow 'write -P 1 0 100K'
bytes=$(stat -c %s base)
before=$(state base) after=$before
(
	ulimit -f $((bytes / 1024))
	expect 2 'cannot write' rebase -u -b "$(name 1000)" base
)
judge base
[[ $(stat -c %s base) -eq $bytes ]]
