#!/bin/bash
# Names are looked up where the image is that holds them, not where the first one is.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p sub/deeper
create raw base.raw 1M
create raw sub/deeper/base.raw 1M
create qcow2 -u -b deeper/base.raw -F raw sub/mid 1M
create qcow2 -u -b sub/mid -F qcow2 top 1M
expect_ready -r top
create qcow2 -u -b ../base.raw -F raw sub/mid 1M
expect "$POLICY" "sub/mid: backing file '../base.raw' is not inside" attach -r top
