#!/bin/bash
# No symbolic link leads out of a directory; the image itself may be one.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir in other
create raw other/base.raw 1M
ln -s ../other/base.raw in/link
ln -s "$PWD/other/base.raw" in/absolute
ln -s ../other in/dir
for name in link absolute dir/base.raw; do
	create qcow2 -u -b $name -F raw in/a 1M
	expect "$POLICY" 'symbolic link leads out' attach -r in/a
	expect "$POLICY" 'symbolic link leads out' attach -r --allow-backing other in/a
done
create raw in/base.raw 1M
ln -s base.raw in/inner
create qcow2 -u -b inner -F raw in/a 1M
expect_ready -r in/a
# the user named this one
create qcow2 other/own 1M
ln -s ../other/own in/named
expect_ready -r in/named
