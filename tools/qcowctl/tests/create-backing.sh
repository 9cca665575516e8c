#!/bin/bash
# The backing file gives the size, is looked at, and its name is stored as it was given.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir want got
for dir in want got; do
	qemu-img create -q -f raw "$dir/base.raw" 3M
	io "$dir/base.raw" raw 'write -P 7 1M 1M'
	truncate -s 1000 "$dir/odd.raw"
	create qcow2 "$dir/base.qcow2" 5M
	create qcow "$dir/base.qcow" 4M
	mkdir "$dir/sub"
done
for format in raw qcow qcow2; do
	make_both qcow2 -b "base.$format" -F "$format" image
	same_new qcow2
	make_both qcow2 -o compat=0.10 -b "base.$format" -F "$format" image 10M
	same_new qcow2
	make_both qcow2 -o "backing_file=base.$format,backing_fmt=$format" image
	same_new qcow2
done
make_both qcow2 -b odd.raw -F raw image
same_new qcow2
# relative to the image, not to where one is; absolute; a comma
make_both qcow2 -b ../base.qcow2 -F qcow2 sub/image
same_new qcow2 sub/image
cp got/base.raw 'a,b'
"$QCOWCTL" create --force -b "$PWD/got/base.raw" -F raw image
io image qcow2 'read -P 7 1M 1M'
"$QCOWCTL" create --force -o 'backing_file=a,,b,backing_fmt=raw' image
io image qcow2 'read -P 7 1M 1M'
qemu-img info image | grep -q 'backing file: a,b'
# names as long as QEMU takes them, and as the first cluster has room for
cp got/base.raw base
name_of() {
	local slashes
	printf -v slashes '%*s' $(($1 - 5)) ''
	printf '.%sbase' "${slashes// //}"
}
for length in 1022 1023; do
	"$QCOWCTL" create --force -b "$(name_of "$length")" -F raw image
	io image qcow2 'read -P 7 1M 1M'
done
for length in 375 376; do
	"$QCOWCTL" create --force -o cluster_size=512 -b "$(name_of "$length")" -F raw image
	io image qcow2 'read -P 7 1M 1M'
done
rm image
refuse "$USAGE" 'backing file name has 1024 bytes, at most 1023' \
	-b "$(name_of 1024)" -F raw image
refuse "$USAGE" 'the names in the header do not fit its 512 bytes' \
	-o cluster_size=512 -b "$(name_of 377)" -F raw image
# what is not right with it
refuse "$USAGE" "the format of 'base' is not stated" -b base image
grep -q 'try: -F' err
refuse "$USAGE" "backing_fmt: 'raw' without a backing file" -F raw image 1M
refuse "$USAGE" "backing_fmt: 'vmdk' is none of" -b base -F vmdk image
refuse "$NOT_FOUND" 'nothing: cannot open' -b nothing -F raw image
refuse "$BAD_IMAGE" "backing_fmt: 'qcow2' is not what base is" -b base -F qcow2 image
refuse "$BAD_IMAGE" "backing_fmt: 'qcow' is not what got/base.qcow2 is" \
	-b got/base.qcow2 -F qcow image
refuse "$POLICY" "'nbd://host/x' has a protocol" -b nbd://host/x -F raw image
refuse "$POLICY" 'is a directory' -b got -F raw image
refuse "$USAGE" "'base' is the backing file itself" -b base -F raw base
cmp base got/base.raw
# or nobody looks
refuse "$USAGE" 'size: none is given' -u -b nothing -F raw image
"$QCOWCTL" create --force -u -b nothing -F raw image 1M
"$QCOWCTL" info image | grep -q 'nothing'
