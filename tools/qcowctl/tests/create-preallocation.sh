#!/bin/bash
# Preallocation: the same clusters have a place, and as much of the disk, as with qemu-img.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

blocks() {
	stat -c %b "$1"
}
# near OPTIONS: both take as many blocks, but for the cluster that a file ends in; small
# tables that lie between the data take a whole block of the file system each with
# qemu-img, and less where they are together
near() {
	local want got more=128 less=128
	want=$(blocks want/image) got=$(blocks got/image)
	[[ $1 != metadata*cluster_size* ]] || less=$want
	[[ $((got - want)) -le $more && $((want - got)) -le $less ]] ||
		die "$1: $got blocks, qemu-img has $want"
}
both() {
	rm -rf want got
	make_both qcow2 -o "preallocation=$1" image "$2"
	same_new qcow2
	near "$1 $2"
}
random_seed
cases=({off,metadata,falloc,full}{,",cluster_size=4K",",refcount_bits=1",",cluster_size=512,refcount_bits=64",",extended_l2=on"})
one_in 3 cases
for options in "${cases[@]}"; do
	both "$options" 1049088
done
for mode in off metadata falloc full; do
	both "$mode,compat=0.10" 1049088
	both "$mode" 0
	both "$mode" 10M
done
# data do not take space with metadata, and do with the others
for mode in metadata falloc full; do
	"$QCOWCTL" create --force -o "preallocation=$mode" image 64M
	if [[ $mode == metadata ]]; then
		[[ $(blocks image) -lt 2048 ]]
	else
		[[ $(blocks image) -ge $((64 << 11)) ]]
	fi
	io image qcow2 'read -P 0 0 64M' 'write -P 5 1M 1M' 'read -P 5 1M 1M'
	qemu-img check -q image
done
# with subclusters the backing file shows through
qemu-img create -q -f raw base 4M
io base raw 'write -P 7 0 4M'
"$QCOWCTL" create --force -o preallocation=metadata,extended_l2=on -b base -F raw image
io image qcow2 'read -P 7 0 4M' 'write -P 8 1M 2K' 'read -P 8 1M 2K' 'read -P 7 1050624 64K'
qemu-img check -q image
