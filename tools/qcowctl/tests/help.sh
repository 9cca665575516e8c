#!/bin/bash
# Help and version go to stdout and end with 0.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

for command in '' attach detach mount list info map create check snapshot bitmap key overlay fork rename \
	rebase stream commit resize compact set job stat monitor doctor; do
	# shellcheck disable=SC2086 # no command is no argument
	"$QCOWCTL" $command --help >out 2>err
	grep -q '^Usage: qcowctl' out
	[[ ! -s err ]]
done
# the forms of what -o takes
"$QCOWCTL" create --help >out
"$QCOWCTL" create -o help >forms
tail -n "$(wc -l <forms)" out | cmp - forms
grep -q 'preallocation .*off .*metadata.*full' forms
version=$(sed -n 's/^#define QCOW_VERSION "\(.*\)"$/\1/p' "$(dirname "$0")/../../../include/qcow/version.h")
[[ $("$QCOWCTL" --version) == "qcowctl ${version:?}" ]]
