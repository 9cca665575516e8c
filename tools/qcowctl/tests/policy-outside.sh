#!/bin/bash
# A backing file outside the directory of the image is refused unless allowed.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir in other
create raw other/base.raw 1M
create qcow2 -u -b ../other/base.raw -F raw in/relative 1M
create qcow2 -u -b "$PWD/other/base.raw" -F raw in/absolute 1M
for image in relative absolute; do
	for command in attach map 'info --backing-chain'; do
		read -r -a words <<<"$command"
		expect "$POLICY" 'not inside the directory of the image' "${words[@]}" in/$image
		grep -q "try: --allow-backing $PWD/other" err
	done
	expect_ready -r --allow-backing other in/$image
	expect_ready -r --allow-backing "$PWD" in/$image
	expect "$POLICY" 'not inside' attach -r --allow-backing in in/$image
done
# the image alone needs nothing of that
"$QCOWCTL" info in/relative >/dev/null
# an absolute name inside is fine
create raw in/base.raw 1M
create qcow2 -u -b "$PWD/in/base.raw" -F raw in/inside 1M
expect_ready -r in/inside
