#!/bin/bash
# Reading what is not allocated asks nothing of the disk below; reading what is
# asks for the table once and for no byte more than is wanted.
# kernels: 6.12 6.1
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# L2 tables for 512 MiB each, in slices for 32 MiB
qemu-img create -q -f qcow2 image 2G
image_io qcow2 image "write -P 7 0 2M" "write -z 512M 64M"
truncate -s 16M image
loop=$(losetup -f --show image)
dev=$(attach -r --no-partscan "$loop")

# costs READS SECTORS FIRST-MIB MIB: what reading that costs below
costs() {
	local before after
	read -r -a before <"/sys/block/${loop#/dev/}/stat"
	dd if="$dev" of=/dev/null bs=1M iflag=direct skip="$3" count="$4" status=none
	read -r -a after <"/sys/block/${loop#/dev/}/stat"
	assert_eq "$((after[0] - before[0])) $((after[2] - before[2]))" "$1 $2" \
		"reads and sectors for $4 MiB at $3"
}

# no L2 table
costs 0 0 1024 256
# one slice of one, then it is there
costs 1 8 4 8
costs 0 0 4 28
# zeros that are stated: two slices
costs 2 16 512 64
costs 0 0 512 64
misses=$(attr "$dev" cache_misses)
assert_eq "$misses" 3 "slices that were read"
# data that lie one after the other are joined, though not over the limit below
read -r -a before <"/sys/block/${loop#/dev/}/stat"
dd if="$dev" of=/dev/null bs=1M iflag=direct count=2 status=none
read -r -a after <"/sys/block/${loop#/dev/}/stat"
assert_eq $((after[2] - before[2])) 4096 "sectors for 2 MiB of data"
[[ $((after[0] - before[0])) -le 16 ]] ||
	fail "2 MiB of data in $((after[0] - before[0])) reads"
detach "$dev"
losetup -d "$loop"
