#!/bin/bash
# Where symbolic links lead decides, not how the name looks; the image itself may be one.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir in other third
create raw other/base.raw 1M
ln -s ../other/base.raw in/link
ln -s "$PWD/other/base.raw" in/absolute
ln -s ../other in/dir
for name in link absolute dir/base.raw "$PWD/in/link"; do
	create qcow2 -u -b "$name" -F raw in/a 1M
	expect "$POLICY" "symbolic link leads out of the directory, to '$PWD/other/base.raw'" \
		attach -r in/a
	grep -q "try: --allow-backing $PWD/other," err
	expect "$POLICY" 'symbolic link leads out' attach -r --allow-backing third in/a
	expect_ready -r --allow-backing other in/a
	expect_ready -r --allow-backing other/base.raw in/a
	expect_ready -r --allow-backing in/dir in/a
done

# a link elsewhere that leads into the directory, such as one to a new place of all images
ln -s in old
create raw in/base.raw 1M
ln -s base.raw in/inner
for name in inner ../old/base.raw "$PWD/old/base.raw"; do
	create qcow2 -u -b "$name" -F raw in/a 1M
	expect_ready -r in/a
done

# why a name elsewhere cannot be resolved is nobody's business
ln -s loop in/loop
for name in ../other/no "$PWD/other/base.raw/x" ../other/base.raw; do
	create qcow2 -u -b "$name" -F raw in/a 1M
	expect "$POLICY" "backing file '$name' is not inside the directory" attach -r in/a
done
create qcow2 -u -b no -F raw in/a 1M
expect "$NOT_FOUND" "cannot open its backing file 'no'" attach -r in/a
create qcow2 -u -b loop -F raw in/a 1M
expect 2 "cannot open its backing file 'loop'" attach -r in/a
create qcow2 -u -b /proc/self/exe -F raw in/a 1M
expect "$POLICY" 'not inside' attach -r in/a
expect 2 'cannot open its backing file' attach -r --allow-backing /proc in/a

# names in a base are relative to the place that it was found by, as for QEMU, and may lead
# where it is
create qcow2 -u -b deep -F raw other/mid 1M
create raw other/deep 1M
ln -s ../other/mid in/mid
create qcow2 -u -b mid -F qcow2 in/a 1M
expect "$NOT_FOUND" "in/mid: cannot open its backing file 'deep'" \
	attach -r --allow-backing other --allow-backing in in/a
ln -s ../other/deep in/deep
expect_ready -r --allow-backing other in/a
rm in/deep
create raw in/deep 1M
expect "$POLICY" "in/mid: backing file 'deep'" attach -r --allow-backing other/mid in/a
expect_ready -r --allow-backing other/mid --allow-backing in in/a

# the user named this one
create qcow2 other/own 1M
ln -s ../other/own in/named
expect_ready -r in/named
