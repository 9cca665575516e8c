#!/bin/bash
# Power cuts and failed calls while an image gets what its new backing file does not have: it reads as
# before, on the old backing file or the new one.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
seed=${SEED:-$SRANDOM}
echo "SEED=$seed"
RANDOM=$seed
for lib in cut journal fail; do
	cc -O1 -shared -fPIC -D_GNU_SOURCE -o "$lib.so" "$here/$lib.c"
done
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0

export -f clean judge_rebased die
export QCOWCTL format old old_format new new_format
make_bases
points=0 failures=0
for options in cluster_size=4K compat=0.10,cluster_size=4K v1; do
	format=qcow2 old=raw old_format=raw new=deep new_format=qcow2
	arguments=(-o "$options")
	[[ $options != v1 ]] || { format=qcow arguments=(); }
	create "$format" "${arguments[@]}" -b raw -F raw before 1300K
	io before "$format" 'write -P 1 100K 100K'
	[[ $format == qcow ]] || qemu-img snapshot -c one before
	cp before image
	qemu-img convert -f "$format" -O raw before want
	rebase_command
	JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}"
	number=$(python3 "$here/journal.py" journal before image "$RANDOM" 3 <<<'judge_rebased image') ||
		die "$options: seed $seed"
	points=$((points + number))
	for ((n = 0; ; n += n < 4 ? 1 : 13)); do
		status=0
		cp before image
		CUT=$n LD_PRELOAD=$PWD/cut.so "${command[@]}" || status=$?
		[[ $status -eq 77 ]] || break
		judge_rebased image
		points=$((points + 1))
	done
	[[ $status -eq 0 ]]
	for ((n = 0; ; n += n < 20 ? 1 : 41)); do
		status=0
		cp before image
		rm -f failed
		FAIL=$n FAILED=failed LD_PRELOAD=$PWD/fail.so "${command[@]}" 2>err || status=$?
		[[ -e failed ]] || break
		[[ $status -eq 2 || $status -eq 4 || $status -eq 0 ]] ||
			die "call $n: status $status: $(cat err)"
		judge_rebased image
		failures=$((failures + 1))
	done
done
echo "$points cuts, $failures failed calls"
[[ $points -gt 40 && $failures -gt 50 ]]
