#!/bin/bash
# Completion offers what the commands take.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=/dev/null
. "$here/../completion/qcowctl"
# words WORD...: what is offered for the last one
words() {
	COMP_WORDS=(qcowctl "$@")
	COMP_CWORD=$#
	COMP_LINE="qcowctl $*"
	COMP_POINT=${#COMP_LINE}
	COMPREPLY=()
	_qcowctl
	printf '%s\n' "${COMPREPLY[@]}"
}
words a | grep -qx attach
words attach --direct-io '' | paste -sd' ' | grep -qx 'auto on off'
words info --output j | grep -qx json
for command in attach detach list info map; do
	for option in $("$QCOWCTL" "$command" --help | grep -oE -- '--[a-z-]+' | sort -u); do
		words "$command" "$option" | grep -qx -- "$option" ||
			die "$command $option is not offered"
	done
done
words list -o NAME,SI | grep -qx 'NAME,SIZE'
for column in $("$QCOWCTL" list --help | sed '1,/^Columns:/d' | awk '{ print $1 }'); do
	words list -o "$column" | grep -qx "$column" || die "column $column is not offered"
done
touch image.qcow2
words attach -r im | grep -qx image.qcow2
