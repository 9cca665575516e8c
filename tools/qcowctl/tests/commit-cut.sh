#!/bin/bash
# Power cuts and failed calls while what an image has goes into its backing file: through the image
# the same is read at every instant, and the backing file has what it had or what the image had, but
# for one that is written in place. There is no space: all is as before.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal fail

# base_state: what the base reads as alone
base_state() {
	qemu-img convert -f "$base_format" -O raw base base.raw
	cksum <base.raw
}
# judge: $in_place: the base may be a mix as long as the image is not empty
judge() {
	local format now
	if [[ $base_format != raw ]]; then
		format=$base_format
		clean base
	fi
	now=$(base_state)
	[[ $now == "$after" || ($now == "$before" && -e image) || ($in_place && -e image) ]] ||
		die "the base has neither what it had nor what the image has"
	if [[ $base_format == qcow2 && ! -e below ]]; then
		qemu-img convert -l snapshot.name=one -O raw base kept.raw
		# QEMU takes the size of the base for that of the snapshot
		cmp -n 1024000 kept kept.raw || die "a snapshot differs"
	fi
	# it has been removed
	[[ -e image ]] || return 0
	format=$image_format
	clean image
	qemu-img convert -f "$image_format" -O raw image image.raw
	cmp image.raw want || die "through the image it differs"
}
export -f judge base_state clean die
export QCOWCTL before after base_format image_format in_place

# make BASE IMAGE: of these kinds, in before/
make() {
	rm -rf before image base below want
	mkdir before
	base_format=qcow2 image_format=qcow2 in_place='' arguments=(-o "$1" -b low -F raw)
	command=("$QCOWCTL" commit image)
	case $1 in
	raw) base_format=raw in_place=1 arguments=() ;;
	v1) base_format=qcow in_place=1 arguments=() ;;
	data_file*) in_place=1 ;;
	esac
	create "$base_format" "${arguments[@]}" base 1000K
	io base "$base_format" 'write -P 1 0 10K' 'write -P 2 500K 40K' 'write -P 3 990K 10K'
	if [[ $base_format == qcow2 && $1 != data_file* ]]; then
		qemu-img snapshot -c one base
		io base qcow2 'write -P 4 520K 4K'
		qemu-img convert -l snapshot.name=one -O raw base kept
	fi
	arguments=(-o "$2")
	if [[ $2 == v1 ]]; then
		image_format=qcow arguments=()
		command+=(--backing-format "$base_format")
	fi
	create "$image_format" "${arguments[@]}" -b base -F "$base_format" image 1300K
	io image "$image_format" 'write -P 5 4K 3K' 'write -P 6 510K 20K' 'write -P 0 700K 8K' \
		'write -P 7 1100K 30K'
	[[ $2 == v1 ]] || io image qcow2 'write -z 536K 24K'
	qemu-img convert -f "$image_format" -O raw image want
	before=$(base_state) after=$(cksum <want)
	cp image base before
	[[ $1 != data_file* ]] || cp below before
}
create raw low 1500K
io low raw 'write -P 9 0 1500K'
points=0 failures=0
kinds=("cluster_size=4K cluster_size=512" "compat=0.10,cluster_size=4K compat=0.10,cluster_size=16K"
	"extended_l2=on,cluster_size=16K v1" "raw cluster_size=4K"
	"v1 v1" "data_file=below,cluster_size=4K extended_l2=on,cluster_size=16K")
one_in 3 kinds
for kind in "${kinds[@]}"; do
	read -r base image <<<"$kind"
	make "$base" "$image"
	JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}"
	[[ $(base_state) == "$after" ]] || die "$kind: the base differs"
	cut_in_journal before judge "$RANDOM" 3
	points=$((points + number))
	cut_at_writes before judge 3 11
	points=$((points + number))
	command+=(--drop)
	cut_at_writes before judge 0 17
	points=$((points + number))
	fail_calls before judge 10 31 is_2_4_or_0
	failures=$((failures + number))
done
echo "$points cuts, $failures failed calls"
[[ $points -gt $((20 * ${#kinds[@]})) && $failures -gt $((8 * ${#kinds[@]})) ]]

# a limit of the file's length is a full disk
fails=0
for base in cluster_size=4K raw v1; do
	make "$base" cluster_size=4K
	kib=$(($(stat -c %s image) / 1024))
	[[ $kib -gt $(($(stat -c %s base) / 1024)) ]] || kib=$(($(stat -c %s base) / 1024))
	for ((more = 0; ; more += 40)); do
		as_before before
		(
			ulimit -f $((kib + more))
			"$QCOWCTL" commit image >out 2>err
		) && break
		grep -qE 'cannot (write|make it)' err || die "$(cat err)"
		fails=$((fails + 1))
		judge
		[[ $in_place ]] || cmp base before/base
		cmp image before/image
	done
done
[[ $fails -gt 2 ]]
