#!/bin/bash
# Power fails at each write of a resize, and any sectors that no sync had made durable are lost; each
# call fails once; there is no space: the image has the size of before or of afterwards, and what
# it had.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal fail

# state IMAGE: size, all contents and bitmaps, as one line
state() {
	local id
	[[ $options != *bitmaps* ]] || {
		qemu-img info --output json "$1" | grep virtual-size | head -n 1
		python3 "$here/bitmaps.py" "$1"
	}
	qemu-img convert -f "$format" -O raw "$1" "$1.raw"
	cksum <"$1.raw"
	[[ $format == qcow2 ]] || return 0
	for id in $(qemu-img snapshot -l "$1" | awk 'NR > 2 { print $1 }'); do
		qemu-img convert -l "snapshot.id=$id" -O raw "$1" "$1.raw"
		# QEMU takes the size of the image for that of the snapshot
		head -c 1024000 "$1.raw" | cksum
	done
}
# judge IMAGE: version 1 may have leaks
judge() {
	local status=0 now
	"$QCOWCTL" check "$1" >"$1.check" 2>&1 || status=$?
	[[ $status -eq 0 || ($status -eq 3 && $format == qcow) ]] ||
		die "check: $status: $(cat "$1.check")"
	now=$(state "$1")
	[[ $now == "$before" || $now == "$after" ]] || die "neither before nor afterwards: $now"
}
export -f state judge die
export QCOWCTL before after format options here

points=0 failures=0
# step ARGUMENT...: resize base, with all that can go wrong
step() {
	local command=("$QCOWCTL" resize -q "$@" image)
	cp base image
	before=$(state image)
	JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}"
	after=$(state image)
	[[ $before != "$after" ]]
	[[ $format != qcow2 ]] || qemu-img check -q image
	cp image next
	cut_in_journal base judge "$RANDOM" 3
	points=$((points + number))
	cut_at_writes base judge 8 7
	points=$((points + number))
	fail_calls base judge 20 5 is_2_4_or_0
	failures=$((failures + number))
	mv next base
}
create raw raw 1500K
io raw raw 'write -P 9 0 1500K'
kinds=(cluster_size=512 cluster_size=64K "compat=0.10,cluster_size=4K"
	"extended_l2=on,cluster_size=16K" v1 "cluster_size=512 bitmaps")
one_in 3 kinds
for options in "${kinds[@]}"; do
	format=qcow2
	arguments=(-o "${options% bitmaps}")
	size=()
	if [[ $options == v1 ]]; then
		format=qcow arguments=()
		size=(--backing-format raw)
	fi
	create "$format" "${arguments[@]}" -b raw -F raw base 1000K
	io base "$format" 'write -P 1 0 10K' 'write -P 2 990K 10K'
	[[ $format == qcow ]] || qemu-img snapshot -c one base
	[[ $options != *bitmaps ]] || {
		# of one that is fine the table becomes longer
		qemu-img bitmap --add -g 512 base fine
		qemu-img bitmap --add base disabled
		io base "$format" 'write -P 3 600K 90K'
		qemu-img bitmap --disable base disabled
	}
	step 1700K "${size[@]}"
	step 80M "${size[@]}"
	step --shrink 1700K
done
echo "$points cuts, $failures failed calls"
[[ $points -gt $((30 * ${#kinds[@]})) && $failures -gt $((30 * ${#kinds[@]})) ]]

# a limit of the file's length is a full disk
fails=0 options=''
for format in qcow2 qcow; do
	[[ $format == qcow ]] || create qcow2 -o compat=0.10,cluster_size=4K -b raw -F raw base 1000K
	[[ $format == qcow2 ]] || create qcow -b raw -F raw base 1000K
	io base "$format" 'write -P 2 990K 10K'
	cp base image
	before=$(state image)
	kib=$(($(stat -c %s base) / 1024))
	for ((more = 0; ; more += 40)); do
		cp base image
		(
			ulimit -f $((kib + more))
			"$QCOWCTL" resize --backing-format raw 1700K image >out 2>err
		) && break
		grep -q 'cannot write' err || die "$(cat err)"
		fails=$((fails + 1))
		after=$before
		ulimit -f unlimited
		judge image
		[[ $format == qcow ]] || cmp base image
	done
done
[[ $fails -gt 4 ]]
