#!/bin/bash
# ".." behind a symbolic link, which QEMU resolves to another file, is refused.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p in/real/sub
create raw in/base.raw 1M
create raw in/real/base.raw 2M
ln -s real/sub in/link
create qcow2 -u -b link/../base.raw -F raw in/a 1M
expect "$POLICY" 'comes after a symbolic link' attach -r in/a
create qcow2 -u -b real/../base.raw -F raw in/a 1M
expect_ready -r in/a
