#!/bin/bash
# --force-share looks at an image that QEMU writes to, with a warning, and keeps QEMU from nothing.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 base 1M
create qcow2 -b base -F qcow2 top
hold top
expect "$BUSY" 'try: qcowctl attach -r --force-share' attach -r top
expect_ready -r --force-share top
grep -q 'top: warning: others may write' err
expect 1 'try: --force-share' check top
expect 0 'top: warning: others may write' check --force-share top
"$QCOWCTL" check -q --force-share top 2>err
[[ ! -s err ]] || die "$(cat err)"
release
# a layer below counts as well
hold base
expect "$BUSY" 'base: is in use' attach -r top
expect_ready -r --force-share top
release

expect "$USAGE" 'only with --read-only' attach --force-share top
expect "$USAGE" 'not with --repair' check --force-share -r leaks top
qemu-img snapshot -c one top
expect_ready --force-share --snapshot one top

# what is attached in this way is written to all the same
hold_lock share top
io top qcow2 'write 0 512'
release
