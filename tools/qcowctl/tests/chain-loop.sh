#!/bin/bash
# A loop in a chain is found, however it is spelled.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 -u -b b -F qcow2 a 1M
create qcow2 -u -b ./c -F qcow2 b 1M
ln a hard
create qcow2 -u -b hard -F qcow2 c 1M
for command in map 'attach -r' 'info --backing-chain'; do
	read -r -a words <<<"$command"
	expect "$BAD_IMAGE" 'already in the chain.*a loop' "${words[@]}" a
done
create qcow2 -u -b other -F raw self 1M
ln self other
expect "$BAD_IMAGE" 'a loop' attach -r self
