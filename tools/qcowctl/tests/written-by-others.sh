#!/bin/bash
# What is shown of an image that QEMU has open to write to comes with a warning; with -U there is none.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 image 1M
# says WARNING COMMAND...
says() {
	"$QCOWCTL" "${@:2}" image >out 2>err || die "${*:2}: $(cat err)"
	[[ $(cat err) == "${1:+qcowctl: image: warning: $1}" ]] || die "${*:2}: it said '$(cat err)', not '$1'"
}
warning='another process may write to it: what is shown may be behind, or change'
for command in info 'info --backing-chain --output json' 'info --dump' map 'map --output json'; do
	read -ra words <<<"$command"
	says '' "${words[@]}"
	hold image -r
	says '' "${words[@]}"
	release
	hold image
	says "$warning" "${words[@]}"
	says '' "${words[@]}" -U
	release
done
hold image
expect 1 'image: is in use: another process may' check image
says 'others may write to it meanwhile: what is wrong may be so for the moment only' check -U
release
