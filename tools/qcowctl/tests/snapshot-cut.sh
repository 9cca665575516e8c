#!/bin/bash
# Power fails at each write, and any sectors that no sync had made durable are lost: the image is
# as before or as afterwards, and qemu-img check finds no corruption and no leak but what the
# image had before.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal

# state IMAGE: header, snapshots and all contents, as one line
state() {
	local id
	qemu-img info --output json "$1" | sed -n 's/^ *"\(virtual-size\|id\|name\)": //p'
	qemu-img convert -O raw "$1" "$1.raw"
	cksum <"$1.raw"
	for id in $(qemu-img snapshot -l "$1" | awk 'NR > 2 { print $1 }'); do
		qemu-img convert -l "snapshot.id=$id" -O raw "$1" "$1.raw"
		cksum <"$1.raw"
	done
}
# judge IMAGE: it is one or the other
judge() {
	local status=0 now
	qemu-img check "$1" >"$1.check" 2>&1 || status=$?
	[[ $status -eq 0 ]] || die "check: $status: $(cat "$1.check")"
	now=$(state "$1")
	[[ $now == "$before" || $now == "$after" ]] || die "neither before nor afterwards: $now"
	[[ $now != "$before" ]] || seen_before=1
	[[ $now != "$after" ]] || seen_after=1
}
export here before after
export -f judge state die

points=0
# A small cluster has many blocks and tables, and not all of them have to move.
kinds=(cluster_size=512 "cluster_size=64K,refcount_bits=64" "extended_l2=on,cluster_size=16K"
	"compat=0.10,cluster_size=1K")
one_in 3 kinds
for options in "${kinds[@]}"; do
	create qcow2 -o "$options" base 8M
	io base qcow2 'write -P 1 0 200K' 'write -P 2 3M 100K' 'write -z 1M 64K' \
		'write -c -P 6 6M 64K'
	qemu-img snapshot -c one base
	io base qcow2 'write -P 3 100K 50K'
	qemu-img snapshot -c two base
	[[ $options == compat* ]] || qemu-img resize -q -f qcow2 base 9M
	io base qcow2 'write -P 4 3000K 200K' 'discard 0 64K'
	for verb in '-c three' '-a one' '-a two' '-d one' '-d two'; do
		# shellcheck disable=SC2206 # letter and argument
		command=("$QCOWCTL" snapshot $verb image)
		cp base image
		before=$(state image)
		JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}"
		after=$(state image)
		[[ $before != "$after" ]]
		qemu-img check -q image
		cut_in_journal base judge "$seed" 4
		points=$((points + number))

		seen_before='' seen_after=''
		cut_at_writes base judge 6 5
		points=$((points + number))
		judge image
		[[ $seen_before && $seen_after ]] || die "$options: $verb: never both states"
	done
done
echo "power failed at $points points"
[[ $points -gt $((50 * ${#kinds[@]})) ]]
