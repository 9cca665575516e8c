#!/bin/bash
# The quick start of the README, run as it stands there: each command succeeds, and prints the line
# that follows it.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

sed -n '/^## Quick start$/,/^## /s/^    //p' "$QCOW_ROOT/README.md" >lines
mkdir -p /mnt
modprobe ext4
commands=0 answers=0
while IFS= read -r line <&3; do
	if [[ $line == '# '* ]]; then
		eval "${line#'# '}" >out 2>err </dev/null || fail "$line: $(cat out err)"
		[[ ! -s err ]] || fail "$line: it said $(cat err)"
		commands=$((commands + 1))
	else
		grep -xF -- "$line" out >/dev/null || fail "no line '$line' in: $(cat out)"
		answers=$((answers + 1))
	fi
done 3<lines
[[ $commands -gt 5 && $answers -gt 2 ]] || fail "$commands commands, $answers answers: $(cat lines)"
assert_eq "$(qcowctl list -n)" ""
