#!/bin/bash
# Every fault is found as qemu-img check finds it, and -r all leaves an image that both
# call clean, with the guest's bytes as they were; or, where that is not possible, an
# image that is no worse.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory

# What cannot be decided: which of two users owns the bytes, what an entry should be.
# QEMU calls some of these clean after its repair, since the counts agree, although it
# then writes to the L1 or L2 table in the place of the guest's data, or the reverse.
hopeless=' over-l2 over-l1 reserved-l2 reserved-l1 unaligned-l2 '
# A count of one bit cannot say that there are two users; the image stays corrupt.
hopeless_narrow=' copied-set double double-l2 '
# QEMU gives up on these and ends with 1: it cannot open the image (table-unaligned) or
# read the counts (block-unaligned, table-over-l1); or takes the header for a table
# (table-over-header), or does not count a missing table itself as a fault (table-none).
# qcowctl goes on, with counts of 0. An L1 entry that has flags and no table (over-header)
# is one fault here; for QEMU it makes the header an L2 table, with faults without end.
differs=' table-unaligned block-unaligned table-over-l1 table-over-header table-none over-header '
# Where the L1 table is taken for a block and happens to have a count that agrees, QEMU
# does not see that metadata is over metadata; here that is a fault more.
chance=' block-over-l1 '

# try FAULT IMAGE
try() {
	local fault=$1 got=0 want=0 compared=0
	cp base image
	python3 "$here/fault.py" "$fault" image
	if [[ $differs == *" $fault "* ]]; then
		expect 2 '' check image
	elif [[ $chance == *" $fault "* ]]; then
		python3 "$here/same_check.py" "$QCOWCTL" image ignore=corruptions ||
			die "$options: $fault is found in another way"
	else
		python3 "$here/same_check.py" "$QCOWCTL" image ||
			die "$options: $fault is found in another way"
	fi
	cp image before
	if [[ $hopeless == *" $fault "* ]] ||
		[[ $options == *bits=1 && $hopeless_narrow == *" $fault "* ]]; then
		want=2
	fi
	"$QCOWCTL" check -r all image >out 2>err || got=$?
	[[ $got -eq $want ]] || die "$options: $fault: status $got after repair: $(cat out err)"
	"$QCOWCTL" check image >out 2>err || got=$?
	[[ $got -eq $want ]] || die "$options: $fault: status $got after: $(cat out err)"
	if [[ $want -eq 0 ]]; then
		qemu-img check image >out 2>err ||
			die "$options: $fault: qemu-img is not content: $(cat out err)"
	fi
	# 1 is a difference; more says that one of both cannot be read at all
	qemu-img compare -q before image 2>/dev/null || compared=$?
	[[ $compared -ne 1 ]] || die "$options: $fault: the guest's bytes have changed"
}

# Of each line the first has all faults, the others those that depend on the widths; half of them
# in one run.
# check-faults-more.sh has another line.
[[ -v all_options ]] ||
	all_options=('cluster_size=64K' 'compat=0.10,cluster_size=4K' 'cluster_size=512')
some=(leak leak-cluster low-data low-l2 copied-clear-l2 copied-set double beyond-l2
	block-over-l1 block-missing table-beyond)
random_seed
read -r -a faults <<<"$(python3 "$here/fault.py" --list)"
half faults
[[ ${#faults[@]} -gt 10 ]]
for options in "${all_options[@]}"; do
	create qcow2 -o "$options" base 1100M
	io base qcow2 'write -P 1 0 200K' 'write -P 2 600M 200K'
	for fault in "${faults[@]}"; do
		try "$fault"
	done
	faults=("${some[@]}")
	half faults
done

# what a bit of the header says goes away with the fault
create qcow2 base 8M
io base qcow2 'write 0 1M'
for fault in dirty corrupt-bit both-bits; do
	cp base image
	python3 "$here/fault.py" "$fault" image
	"$QCOWCTL" check -r all image >out 2>err
	grep -q 'bit is set' err || die "not a word about $fault"
	[[ $(dd if=image bs=1 skip=72 count=8 status=none | od -An -tx8) =~ ^\ 0+$ ]] ||
		die "$fault is still there"
done
