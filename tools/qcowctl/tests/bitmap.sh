#!/bin/bash
# Every action does what qemu-img bitmap does with the same words, in images of all kinds: the same
# bitmaps of the same bits, and clean. QEMU goes on with what qcowctl has made, and the other way.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
# same: both images have the same bitmaps, and map prints the bits of each
same() {
	python3 "$here/bitmaps.py" got want "$QCOWCTL" || die "$options: line ${BASH_LINENO[0]}"
}
# both ARGUMENT... NAME
both() {
	local name=${*: -1}
	qemu-img bitmap "${@:1:$#-1}" want "$name"
	"$QCOWCTL" bitmap "${@:1:$#-1}" got "$name" || die "$options: $*"
	qemu-img check -q got || die "$options: $*: $(qemu-img check got 2>&1)"
}
# write COMMAND...: to both
write() {
	io want qcow2 "$@"
	io got qcow2 "$@"
}

create qcow2 -o cluster_size=4K other 8389120
qemu-img bitmap --add -g 2K other far
io other qcow2 'write 6M 3K' 'write 8388608 512'
create raw base 1M
kinds=(cluster_size=512 "cluster_size=512,refcount_bits=1" "cluster_size=4K,refcount_bits=64"
	"cluster_size=4K,backing_file=base,backing_fmt=raw" cluster_size=64K snapshots
	"cluster_size=16K,extended_l2=on,data_file=data" "cluster_size=2M,refcount_bits=1")
one_in 3 kinds
for options in "${kinds[@]}"; do
	if [[ $options == snapshots ]]; then
		create qcow2 want 8389120
		io want qcow2 'write -P 1 0 200K'
		qemu-img snapshot -c one want
	else
		create qcow2 -o "$options" want 8389120
	fi
	features=$(grep -ac 'dirty bit' want) || :
	cp want got
	both --add one
	both --add -g 512 two
	both --add --disable --granularity=1M three
	same
	write 'write -P 2 100k 200k' 'write 5M 64k' 'write 8388608 512' 'discard 3M 1M'
	both --disable one
	write 'write 7M 10k'
	both --add --merge one --merge two --disable four
	both --merge one --enable three
	same
	both --enable --clear --merge three two
	both --clear one
	both --merge far -b other -F qcow2 one
	both --add --merge far --source-file=other five
	write 'write 0 64k'
	same
	both --remove --add -g 8K two
	both --remove four
	both --add "$(printf '%01000d' 7)"
	same
	# nothing to do
	cp got before
	"$QCOWCTL" bitmap --disable --enable got two
	cmp got before
	for name in one two three five "$(printf '%01000d' 7)"; do
		both --remove "$name"
	done
	same
	[[ $(grep -ac 'dirty bit' got) -eq $features ]]
	"$QCOWCTL" bitmap --add got "$(printf '%01023d' 7)"
	"$QCOWCTL" bitmap --remove got "$(printf '%01023d' 7)"
	[[ $options == *data_file* ]] || qemu-img compare -q want got
	[[ $options == *data_file* || $(stat -c %s got) -le $(stat -c %s want) ]] ||
		die "$options: it is longer: $(stat -c %s got)"
done
