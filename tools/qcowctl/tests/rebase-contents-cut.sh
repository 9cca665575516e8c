#!/bin/bash
# Power cuts and failed calls while an image gets what its new backing file does not have: it reads as
# before, on the old backing file or the new one.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal fail

export -f clean judge_rebased die
export QCOWCTL format old old_format new new_format
make_bases
points=0 failures=0
kinds=(cluster_size=4K "compat=0.10,cluster_size=4K" v1)
one_in 3 kinds
for options in "${kinds[@]}"; do
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
	cut_in_journal before judge_rebased "$RANDOM" 3
	points=$((points + number))
	cut_at_writes before judge_rebased 4 13
	points=$((points + number))
	fail_calls before judge_rebased 20 41 is_2_4_or_0
	failures=$((failures + number))
done
echo "$points cuts, $failures failed calls"
[[ $points -gt $((13 * ${#kinds[@]})) && $failures -gt $((17 * ${#kinds[@]})) ]]
