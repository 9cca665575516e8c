#!/bin/bash
# Version 1: QEMU opens what create made, and writes to it.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

for size in 1 512 1000 1M 1234944 5G; do
	rm -rf want got
	make_both qcow image "$size"
	same_new qcow
	cmp want/image got/image || die "$size: not the same bytes"
done
rm -rf want got
make_both qcow image 5M
for dir in want got; do
	io "$dir/image" qcow 'write -P 1 0 1M' 'write -P 2 1234567 7' 'write -P 3 4M 64K'
done
same_new qcow
same_info qcow got/image
same_map qcow got/image
create_v1_compressed want/image packed
[[ -s packed ]]

# a backing file: clusters of a sector, the name behind the header
qemu-img create -q -f raw base 3M
io base raw 'write -P 7 0 3M'
rm -rf want got
mkdir want got
cp base want
cp base got
make_both qcow -b base -F raw image
same_new qcow
cmp want/image got/image
io got/image qcow 'write -P 9 1M 512'
io got/image qcow 'read -P 9 1M 512' 'read -P 7 1049088 64K'
refuse "$USAGE" 'size: 0 is too small' -f qcow image 0
