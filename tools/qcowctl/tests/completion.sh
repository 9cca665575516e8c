#!/bin/bash
# Completion offers what the commands take.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=/dev/null
. "$here/../completion/qcowctl"
# words WORD...: what is offered for the last one; a reader has to read all of it
words() {
	COMP_WORDS=(qcowctl "$@")
	COMP_CWORD=$#
	COMP_LINE="qcowctl $*"
	COMP_POINT=${#COMP_LINE}
	COMPREPLY=()
	_qcowctl
	printf '%s\n' "${COMPREPLY[@]}"
}
words a | grep -x attach >/dev/null
words attach --direct-io '' | paste -sd' ' | grep -x 'auto on off' >/dev/null
words compact --compress '' | paste -sd' ' | grep -x 'zlib zstd' >/dev/null
words info --output j | grep -x json >/dev/null
words check -r '' | paste -sd' ' | grep -x 'leaks all' >/dev/null
for command in attach detach list info map create check snapshot bitmap key overlay fork rename \
	rebase stream commit resize compact set job stat monitor; do
	for option in $("$QCOWCTL" "$command" --help | grep -oE -- '--[a-z-]+' | sort -u); do
		words "$command" "$option" | grep -x -- "$option" >/dev/null ||
			die "$command $option is not offered"
	done
done
words list -o NAME,SI | grep -x 'NAME,SIZE' >/dev/null
for column in $("$QCOWCTL" list --help | sed '1,/^Columns:/d' | awk '{ print $1 }'); do
	words list -o "$column" | grep -x "$column" >/dev/null || die "column $column is not offered"
done
words key '' | paste -sd' ' | grep -x 'list add change erase export' >/dev/null
words create -f '' | paste -sd' ' | grep -x 'qcow2 qcow' >/dev/null
words create -o size=1M,pre | grep -x 'size=1M,preallocation=falloc' >/dev/null
for option in $("$QCOWCTL" create -o help | awk '/^  /{ print $1 }'); do
	words create -o "$option" | grep "^$option=" >/dev/null || die "-o $option is not offered"
done
touch image.qcow2
words create -b im | grep -x image.qcow2 >/dev/null
words attach -r im | grep -x image.qcow2 >/dev/null
