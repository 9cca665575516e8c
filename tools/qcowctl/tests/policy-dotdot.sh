#!/bin/bash
# ".." behind a symbolic link leads where QEMU and every other program go.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p in/real/sub other/sub
create raw in/base.raw 1M
create raw in/real/base.raw 2M
create raw other/base.raw 3M
ln -s real/sub in/link
ln -s ../other/sub in/out
create qcow2 -u -b link/../base.raw -F raw in/a 1M
"$QCOWCTL" info --backing-chain --output json in/a >got.json
grep -q '"virtual-size": *2097152' got.json || die "the other base.raw: $(cat got.json)"
same_info qcow2 in/a --backing-chain
expect_ready -r in/a
create qcow2 -u -b real/../base.raw -F raw in/a 1M
expect_ready -r in/a
create qcow2 -u -b out/../base.raw -F raw in/a 1M
expect "$POLICY" "leads out of the directory, to '$PWD/other/base.raw'" attach -r in/a
