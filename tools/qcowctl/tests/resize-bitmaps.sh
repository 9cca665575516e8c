#!/bin/bash
# Bitmaps of an image that gets another size are as long as the disk: what QEMU has of its own when
# it resizes the same image, whatever the sizes.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
# both SIZE: ours and QEMU's get it
both() {
	"$QCOWCTL" resize -q --shrink "$1" image
	qemu-img resize -q --shrink theirs "$1"
	qemu-img check -q image
	"$QCOWCTL" check -q image
	[[ $(virtual_size image) -eq $(virtual_size theirs) ]]
	qemu-img info --output json image | grep -A 40 '"bitmaps"' >ours.info
	qemu-img info --output json theirs | grep -A 40 '"bitmaps"' >theirs.info
	[[ $(grep -c '"granularity"' ours.info) -eq 3 && $(grep -c auto ours.info) -eq 1 ]]
	[[ $(grep -c '"granularity"' theirs.info) -eq 3 ]]
	python3 "$here/bitmaps.py" image >ours.bits
	python3 "$here/bitmaps.py" theirs >theirs.bits
	cmp ours.bits theirs.bits || die "$kind, $1: $(cat ours.bits theirs.bits)"
}
virtual_size() { qemu-img info --output json "$1" | sed -n 's/^    "virtual-size": \([0-9]*\),/\1/p'; }

kinds=(cluster_size=512 "cluster_size=4K,refcount_bits=1" cluster_size=64K
	"cluster_size=32K,extended_l2=on" cluster_size=2M)
one_in 2 kinds
for kind in "${kinds[@]}"; do
	create qcow2 -o "$kind" image 40M
	for name in fine coarse; do
		qemu-img bitmap --add -g "$([[ $name == fine ]] && echo 512 || echo 1M)" image "$name"
	done
	qemu-img bitmap --add image recording
	io image qcow2 'write -P 1 1M 100K' 'write -P 2 39M 1M' 'discard 35M 2M'
	qemu-img bitmap --disable image fine
	qemu-img bitmap --disable image coarse
	cp image theirs
	# in a table entry, in a bit, many entries, back, and with the bits at the end
	for size in 41M $((41 * 1048576 + 512)) 3G 2999M 40M 1G; do
		both "$size"
		for name in image theirs; do
			io "$name" qcow2 'write -P 3 20M 64K'
		done
	done
	for name in image theirs; do
		io "$name" qcow2 'discard 0 40M'
	done
	both 1536K
	both 64M
	"$QCOWCTL" map --bitmap fine image >out
	[[ $(wc -l <out) -eq 2 ]] || die "$(cat out)"
done
