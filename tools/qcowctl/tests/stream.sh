#!/bin/bash
# What its backing files have becomes an image's own, down to one of them or to none, and nothing
# else does.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# data, zeros, compressed clusters and holes over each other, in three layers of three directories
mkdir -p layers/deep
create raw layers/deep/base 3M
io layers/deep/base raw 'write -P 9 0 1M' 'write -P 8 2M 256K'
create qcow2 -b deep/base -F raw layers/middle 4M
io layers/middle qcow2 'write -P 1 128K 256K' 'write -z 512K 128K' 'write -c -P 2 768K 64K' \
	'write -P 3 3840K 4K'
sums=$(sha256sum layers/deep/base layers/middle)

# image FORMAT OPTIONS: on top, and in want what it has
image() {
	local options=()
	[[ $2 == - ]] || options=(-o "$2")
	rm -f image data
	create "$1" "${options[@]}" -b layers/middle -F qcow2 image 4M
	io image "$1" 'write -P 4 192K 64K' 'write -P 5 2112K 4K'
	qemu-img convert -f "$1" -O raw image want
}
# field NAME: of what QEMU knows of the image
field() { qemu-img info --output json image | sed -n "s/^    \"$1\": \"\(.*\)\",*/\1/p"; }
# judge FORMAT: it is whole, and reads as before
judge() {
	[[ $1 == qcow ]] || qemu-img check -q image
	qemu-img compare -q -f raw -F "$1" want image
	[[ $(sha256sum layers/deep/base layers/middle) == "$sums" ]] || die "a layer has changed"
}
# own: bytes of data in the image itself
own() {
	qemu-img map --output json image | python3 -c '
import json, sys
print(sum(e["length"] for e in json.load(sys.stdin) if e["data"] and not e["depth"]))'
}

for options in - compat=0.10 cluster_size=4K cluster_size=2M extended_l2=on,cluster_size=16K \
	data_file=data; do
	image qcow2 "$options"
	"$QCOWCTL" stream --base layers/deep/base image
	[[ $(field backing-filename) == layers/deep/base && $(field backing-filename-format) == raw ]]
	judge qcow2
	case $options in
	# of the layer between 256K, of which 64K were there, 64K and 4K, and 4K that were there
	-) [[ $(own) -eq $((448 << 10)) ]] || die "$(own) bytes" ;;
	esac
	cp image before
	"$QCOWCTL" stream --base layers/deep/base image
	cmp image before
	"$QCOWCTL" stream --progress json image >lines
	[[ $(tail -n 1 lines) == '{"job":"stream","done":4194304,"total":4194304}' ]]
	[[ -z $(field backing-filename) ]]
	judge qcow2
	cp image before
	"$QCOWCTL" stream image
	cmp image before
done

# version 1 names its backing file, and not its format
image qcow -
"$QCOWCTL" stream --backing-format qcow2 image
[[ -z $(field backing-filename) ]]
judge qcow

# names that look like others; a base that states no format
cp layers/middle nbd:middle
qemu-img rebase -u -b "$PWD/layers/deep/base" -F raw ./nbd:middle
create raw raw 4M
io raw raw 'write -P 2 128K 64K'
create qcow -b raw -F raw old 4M
io old qcow 'write -P 1 0 64K'
for name in 'json:{"driver":"qcow2","file":{"driver":"file","filename":"nbd:middle"}}' ./nbd:middle; do
	create qcow2 -u -b "$name" -F qcow2 image 4M
	create qcow2 -b image -F qcow2 top 4M
	io top qcow2 'write -P 6 0 4K'
	qemu-img convert -f qcow2 -O raw top want
	"$QCOWCTL" stream --base nbd:middle top
	[[ $(qemu-img info --output json top) == *'"backing-filename": "./nbd:middle"'* ]]
	qemu-img compare -q -f raw -F qcow2 want top
done
create qcow2 -b old -F qcow middle 4M
io middle qcow2 'write -P 3 64K 64K'
create qcow2 -b middle -F qcow2 image 4M
"$QCOWCTL" stream --base old --backing-format raw image
for part in '1 0' '3 64K' '2 128K' '0 192K'; do
	read -r byte at <<<"$part"
	io image qcow2 "read -P $byte $at 64K"
done
expect "$BAD_IMAGE" 'states' stream --backing-format qcow2 image
[[ $(field backing-filename) == old && $(field backing-filename-format) == qcow ]]

# what is in the base, a hole or zeros takes no space
image qcow2 -
"$QCOWCTL" stream image
[[ $(own) -eq $((1024 + 256 - 128 + 64 << 10)) ]] || die "$(own) bytes"

# a rate
image qcow2 -
SECONDS=0
"$QCOWCTL" stream --rate 512K image
[[ $SECONDS -ge 1 ]] || die "too fast"
judge qcow2

# snapshots do not read the layers any more
image qcow2 -
qemu-img snapshot -c one image
"$QCOWCTL" stream image 2>err
grep -qF 'image: warning: what its snapshots (1) do not have themselves reads as zeros from now on' err

# refuse STATUS PATTERN ARGUMENT...: on image
refuse() {
	cp image before
	expect "$1" "$2" stream "${@:3}" image
	cmp image before
}
image qcow2 -
refuse "$NOT_FOUND" "image: is no backing file of 'image'" --base image
refuse "$NOT_FOUND" 'absent: cannot be found' --base absent
refuse "$USAGE" "'0' is no size" --rate 0
refuse "$USAGE" "'fast' is no size" --rate fast
refuse "$USAGE" "'line' is none of bar, json, none" --progress line
hold layers/middle
refuse "$BUSY" 'layers/middle: is in use'
release
rm layers/middle
refuse "$NOT_FOUND" "cannot open its backing file 'layers/middle'"
