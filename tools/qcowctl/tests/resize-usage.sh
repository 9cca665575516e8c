#!/bin/bash
# Wrong command lines of resize are refused by what is wrong in them, before anything is opened.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# refused STATUS TEXT ARGUMENT...
refused() {
	local status=$1 text=$2 got=0
	shift 2
	"$QCOWCTL" resize "$@" >out 2>err || got=$?
	[[ $got -eq $status && ! -s out ]] || die "resize $*: status $got: $(cat err)"
	grep -qF -- "$text" err || die "resize $*: $(cat err)"
}
refused 1 'a size and one image are wanted, 0 words given'
refused 1 'a size and one image are wanted, 1 words given' 1G
refused 1 'a size and one image are wanted, 3 words given' 1G a b
refused 1 'a size and one image are wanted, 1 words given' -1G
for size in '' 1Q x + -5x 1.5 ++1 0x10K; do
	refused 1 "'${size#[+-]}' is no size" "$size" /dev/qcow0
done
refused 1 "resize: '16E' is too large" +16E /dev/qcow0
refused 1 '' --grow 1G /dev/qcow0
for size in 1G +1G -1G; do
	refused 9 'no such device, and no attached image' "$size" nothing
	refused 9 'no such device, and no attached image' "$size" --shrink -q nothing
	refused 9 'no such device, and no attached image' -- "$size" nothing
done
