#!/bin/bash
# --backing puts another base in the place of one that an image names, for any layer, and
# changes no image.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir other
create raw base 1M
create raw other/base 3M
create qcow2 other/base.qcow2 2M
create qcow2 -b base -F raw mid
create qcow2 -b mid -F qcow2 top
create qcow2 -u -b gone -F raw lost 1M
create qcow2 alone 1M
sha256sum ./* >before 2>/dev/null || :

# chain OPTION... IMAGE: names and formats of the layers
chain() {
	"$QCOWCTL" info --output json --backing-chain "$@" >info.json
	python3 - <<-'PY'
	import json
	print(*(f"{i['filename']}:{i['format']}" for i in json.load(open("info.json"))))
	PY
}
is() { [[ $1 == "$2" ]] || die "'$1', not '$2'"; }

is "$(chain top)" 'top:qcow2 mid:qcow2 base:raw'
is "$(chain --backing other/base.qcow2 top)" 'top:qcow2 other/base.qcow2:qcow2'
is "$(chain --backing 0=other/base.qcow2 top)" 'top:qcow2 other/base.qcow2:qcow2'
is "$(chain --backing 1=other/base top)" 'top:qcow2 mid:qcow2 other/base:raw'
is "$(chain --backing 1=other/base.qcow2 --backing-format qcow2 top)" \
	'top:qcow2 mid:qcow2 other/base.qcow2:qcow2'
is "$(chain --backing other/base --backing-format raw top)" 'top:qcow2 other/base:raw'
is "$(chain --backing mid --backing 1=other/base top)" 'top:qcow2 mid:qcow2 other/base:raw'
is "$(chain --backing gone --backing "$PWD/other/base" lost)" "lost:qcow2 $PWD/other/base:raw"
cp base 1=base
is "$(chain --backing ./1=base lost)" 'lost:qcow2 ./1=base:raw'
# the image alone has no chain
"$QCOWCTL" info --backing nowhere top >/dev/null

for command in attach map 'info --backing-chain'; do
	read -r -a words <<<"$command"
	expect "$NOT_FOUND" "cannot open its backing file 'gone'" "${words[@]}" lost
	grep -qF 'try: --backing FILE' err
	expect "$NOT_FOUND" 'other/none: cannot open' "${words[@]}" --backing other/none lost
	expect "$USAGE" "alone: has no backing file that 'base' could replace" \
		"${words[@]}" --backing base alone
	expect "$USAGE" "base: has no backing file that 'mid'" "${words[@]}" --backing 2=mid top
	expect "$USAGE" "'3=x': the chain has 3 layers" "${words[@]}" --backing 3=x top
	expect "$USAGE" 'no chain has so many layers' "${words[@]}" --backing 4096=x top
	expect "$USAGE" 'names no file' "${words[@]}" --backing 1= top
	expect "$BAD_IMAGE" 'a loop' "${words[@]}" --backing top top
	expect "$BAD_IMAGE" "states 'qcow2' for it" "${words[@]}" --backing base top
	expect "$POLICY" 'is a directory' "${words[@]}" --backing other top
done
expect_ready --backing other/base lost
expect_ready --backing 1=other/base top
"$QCOWCTL" map --output json --backing other/base lost >/dev/null
sha256sum --quiet -c before
