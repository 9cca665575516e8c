#!/bin/bash
# Power fails at each write of a compaction, and any sectors that no sync had made durable are lost;
# each call fails once; there is no space: all is read as before, and there is neither a corruption nor
# a leak.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal fail
disk=$((3 << 20))

# judge IMAGE: it reads as before
judge() {
	local now
	qemu-img check "$1" >"$1.check" 2>&1 || die "$(cat "$1.check")"
	now=$(contents "$1")
	[[ $now == "$before" ]] || die "it was $before, and is $now"
}
export here before
export -f judge contents die

points=0 failures=0
# step ARGUMENT...: compact base, with all that can go wrong
step() {
	command=("$QCOWCTL" compact -q "$@" image)
	cp base image
	before=$(contents image)
	JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}"
	judge image
	! cmp -s base image || die "nothing to do"
	cut_in_journal base judge "$RANDOM" 3
	points=$((points + number))
	cut_at_writes base judge 4 23
	points=$((points + number))
	fail_calls base judge 4 19 is_2_4_or_0
	failures=$((failures + number))
}
kinds=('cluster_size=512' 'cluster_size=4K,refcount_bits=64' 'cluster_size=64K'
	'cluster_size=16K,extended_l2=on' 'compat=0.10,cluster_size=2K' 'cluster_size=4K,data_file=data')
one_in 6 kinds
for options in "${kinds[@]}"; do
	rm -f base data
	create qcow2 -o "$options" base $disk
	[[ $options == compat* ]] || qemu-img bitmap --add -g 512 base one
	writes=()
	[[ $options == *data_file* ]] || writes=('write -c -P 7 1M 64K')
	add_writes 10 100000
	io base qcow2 "${writes[@]}"
	if [[ $options != *data_file* ]]; then
		qemu-img snapshot -c one base
		writes=()
		add_writes 10 100000
		io base qcow2 "${writes[@]}"
		qemu-img snapshot -c two base
		writes=('discard 0 512K')
		add_writes 5 100000
		io base qcow2 "${writes[@]}"
		qemu-img snapshot -d one base
	fi
	step
	[[ $options == *data_file* ]] || step --compress zlib
done
echo "$points cuts, $failures failed calls"
# of an image with a data file there is little to move
[[ $points -gt $((5 * ${#kinds[@]})) && $failures -gt $((4 * ${#kinds[@]})) ]]

# a limit of the file's length is a full disk
create qcow2 -o cluster_size=4K base 4M
io base qcow2 'write -P 1 0 4M'
python3 "$here/fault.py" leak base
bytes=$(stat -c %s base)
before=$(contents base)
fails=0
for ((more = 0; ; more += 4)); do
	cp base image
	(
		ulimit -f $((bytes / 1024 + more))
		"$QCOWCTL" compact --compress zstd image >out 2>err
	) && break
	grep -q 'cannot write' err || die "$(cat err)"
	fails=$((fails + 1))
	[[ $(contents image) == "$before" ]]
	[[ $(stat -c %s image) -eq $bytes ]] || die "$(stat -c %s image) bytes, not $bytes"
done
[[ $fails -gt 1 ]]
qemu-img check -q image
