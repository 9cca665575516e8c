#!/bin/bash
# The same random steps by qemu-img, by qcowctl, and by one or the other: the active state, its
# size and one snapshot are the same after each, all snapshots in the end, and qemu-img check
# finds nothing. snapshot-mix-more.sh has other widths.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed

[[ -v all_options ]] || all_options=('cluster_size=64K' 'cluster_size=512'
	'compat=0.10,cluster_size=4K' 'extended_l2=on,cluster_size=16K'
	'cluster_size=4K,backing_file=base,backing_fmt=raw' 'refcount_bits=64,cluster_size=1K')
one_in 3 all_options
steps=${STEPS:-12}

head -c 5M /dev/urandom >noise
truncate -s 24M base
dd if=noise of=base bs=1M seek=3 conv=notrunc status=none

# add_write: add a command of qemu-io to $writes. A subshell would have other random numbers.
add_write() {
	local at=$(((RANDOM << 15 | RANDOM) % size & ~511))
	local len=$(((RANDOM << 5) % (RANDOM % 3 ? 40000 : 900000) & ~511))
	len=$((at + len + 512 > size ? size - at : len + 512))
	case $((RANDOM % 5)) in
	0) writes+=("write -z $at $len") ;;
	1) writes+=("write -zu $at $len") ;;
	2) writes+=("discard $at $len") ;;
	*) writes+=("write -P $((RANDOM % 255 + 1)) $at $len") ;;
	esac
}
by_qemu() {
	qemu-img snapshot "$@"
}
by_qcowctl() {
	"$QCOWCTL" snapshot "$@" || die "seed $SEED: $options: $done_so_far: snapshot $*"
}
# both LETTER ARGUMENT: the step on all three images
both() {
	by_qemu "-$1" "$2" want
	by_qcowctl "-$1" "$2" got
	if ((RANDOM % 2)); then
		by_qemu "-$1" "$2" mixed
	else
		by_qcowctl "-$1" "$2" mixed
	fi
}
# facts IMAGE: what does not depend on who did it
facts() {
	qemu-img info --output json "$1" | python3 -c '
import json, sys
info = json.load(sys.stdin)
print(info["virtual-size"])
for s in info.get("snapshots", []):
    print(s["id"], s["name"], s["vm-state-size"], s["icount"], s["vm-clock-nsec"])'
}
# compare [ID...]: the active state, and these snapshots
compare() {
	local image id
	facts want >want.facts
	for id; do
		qemu-img convert -l "snapshot.id=$id" -O raw want "want.$id"
	done
	for image in got mixed; do
		qemu-img check "$image" >out 2>&1 ||
			die "seed $SEED: $options: $done_so_far: $image: $(cat out)"
		facts "$image" | cmp - want.facts ||
			die "seed $SEED: $options: $done_so_far: $image has other snapshots"
		qemu-img compare -q want "$image" ||
			die "seed $SEED: $options: $done_so_far: $image differs"
		for id; do
			qemu-img convert -l "snapshot.id=$id" -O raw "$image" is.raw
			cmp "want.$id" is.raw ||
				die "seed $SEED: $options: $done_so_far: snapshot $id of $image"
		done
	done
	rm -f want.*
}
number=0
for options in "${all_options[@]}"; do
	size=6M done_so_far='' ids=() next=1 most=$steps
	# three compressed clusters share one, and QEMU counts one more for a while: 15 at most;
	# counts that are full are the subject of snapshot-refused.sh
	[[ $options != *refcount_bits=4* ]] || most=3
	[[ $options != *cluster_size=2M* ]] || size=24M
	cluster=$(sed -E 's/.*cluster_size=([0-9]+[KM]?).*/\1/; t; s/.*/64K/' <<<"$options")
	qemu-img create -q -f qcow2 -o "$options" want "$size"
	size=$((${size%M} << 20))
	writes=("write -c -P 7 0 $cluster" "write -c -P 8 2M $cluster" "write -c -P 9 4M $cluster")
	for _ in $(seq 12); do
		add_write
	done
	io want qcow2 "${writes[@]}"
	cp want got
	cp want mixed
	for ((step = 0; step < steps; step++)); do
		kind=$((RANDOM % 9))
		[[ ${#ids[@]} -gt 0 ]] || kind=$((kind % 5))
		index=$((${#ids[@]} ? RANDOM % ${#ids[@]} : 0))
		case $kind in
		0 | 1)
			writes=()
			add_write
			add_write
			done_so_far+=" [${writes[*]}]"
			for image in want got mixed; do
				io "$image" qcow2 "${writes[@]}"
			done ;;
		2 | 3 | 4)
			[[ ${#ids[@]} -lt $most ]] || continue
			done_so_far+=" -c n$next"
			both c "n$next"
			ids+=("$next")
			next=0
			for id in "${ids[@]}"; do
				[[ $id -lt $next ]] || next=$((id + 1))
			done ;;
		5)
			done_so_far+=" -a ${ids[index]}"
			both a "${ids[index]}"
			size=$(qemu-img info --output json want | sed -n 's/^    "virtual-size": \([0-9]*\),/\1/p') ;;
		6 | 7)
			done_so_far+=" -d n${ids[index]}"
			both d "n${ids[index]}"
			unset "ids[index]"
			ids=(${ids[@]+"${ids[@]}"})
			next=1
			for id in "${ids[@]}"; do
				[[ $id -lt $next ]] || next=$((id + 1))
			done ;;
		8)
			[[ $options != *compat=0.10* ]] || continue
			size=$(((1 + RANDOM % 12) * 512 * 1023))
			done_so_far+=" resize $size"
			for image in want got mixed; do
				qemu-img resize -q --shrink -f qcow2 "$image" "$size"
			done ;;
		esac
		number=$((number + 1))
		compare ${ids[0]+"${ids[RANDOM % ${#ids[@]}]}"}
	done
	compare ${ids[0]+"${ids[@]}"}
done
echo "$number steps"
