#!/bin/bash
# Power fails at each write of a change of bitmaps, and any sectors that no sync had made durable are
# lost; each call fails once; there is no space: the bitmaps are those of before or of afterwards,
# and there is neither a corruption nor a leak.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal fail

# judge IMAGE: it has one or the other
judge() {
	local now
	"$QCOWCTL" check -q "$1" >"$1.check" 2>&1 || die "$(cat "$1.check")"
	now=$(python3 "$here/bitmaps.py" "$1")
	[[ $now != "$before" ]] || return 0
	[[ $now == "$after" ]] || die "neither before nor afterwards: $now; $before; $after"
}
export here before after
export -f judge die

# step ARGUMENT...: change the bitmaps of base, with all that can go wrong
step() {
	command=("$QCOWCTL" bitmap "${@:1:$#-1}" image "${@: -1}")
	cp base image
	before=$(python3 "$here/bitmaps.py" image)
	JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}"
	after=$(python3 "$here/bitmaps.py" image)
	[[ $before != "$after" ]]
	qemu-img check -q image
	qemu-img compare -q base image
	[[ $(grep -ac 'dirty bit' base) -eq $(grep -ac 'dirty bit' image) ]]
	cp image next
	cut_in_journal base judge "$RANDOM" 3
	points=$((points + number))
	cut_at_writes base judge 4 3
	points=$((points + number))
	if [[ $1 == --remove ]]; then
		fail_calls base judge 1 3 is_2_4_or_0
		failures=$((failures + number))
	fi
	mv next base
}
points=0 failures=0
# With a long name of a data file the feature names make room first, and come back.
kinds=("cluster_size=512" "cluster_size=4K,refcount_bits=1"
	"cluster_size=64K,refcount_bits=64,data_file=$(printf '%0100d' 0)")
one_in 3 kinds
for options in "${kinds[@]}"; do
	create qcow2 -o "$options" base 4M
	io base qcow2 'write -P 1 0 10K'
	step --add -g 512 one
	io base qcow2 'write -P 2 100K 100K' 'write -P 2 3M 1K'
	step --add --merge one --disable two
	step --clear one
	step --remove two
	step --remove one
done
echo "$points cuts, $failures failed calls"
[[ $points -gt $((60 * ${#kinds[@]})) && $failures -gt $((10 * ${#kinds[@]})) ]]

# a limit of the file's length is a full disk
create qcow2 -o cluster_size=512 base 4M
qemu-img bitmap --add -g 512 base one
io base qcow2 'write -P 1 0 4M'
before=$(python3 "$here/bitmaps.py" base) after=$before
bytes=$(stat -c %s base)
(
	ulimit -f $((bytes / 1024))
	expect 2 'cannot write' bitmap --add --merge one base two
)
judge base
[[ $(stat -c %s base) -eq $bytes ]]
