#!/bin/bash
# An image whose file ends early is described as QEMU describes it: what the file does not hold of
# a table reads as zeros, and counts do not matter.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# same_cut FORMAT LENGTH: of image
same_cut() {
	head -c "$2" image >part
	same_info "$1" part 2>err
	same_map "$1" part 2>>err
	[[ ! -s err ]] || ! grep -v 'part: warning: .* table offset .* beyond the file' err ||
		die "$1 of $2 bytes"
}

random_seed
for options in cluster_size=4K compat=0.10,cluster_size=512 cluster_size=64K; do
	rm -f image
	create qcow2 -o "$options" image 8M
	io image qcow2 'write -P 7 0 8M'
	bytes=$(stat -c %s image)
	# counts are in the second and third cluster, the L1 table is in the fourth
	mapfile -t lengths < <(seq 1536 511 20000 | awk 'NR % 3 == 1')
	lengths+=(512 600 66000 140000 200000 262144 300000 $((bytes - 70000)) $((bytes - 1)))
	half lengths
	for length in "${lengths[@]}"; do
		same_cut qcow2 "$length"
	done
done
rm image
create qcow image 8M
io image qcow 'write -P 7 0 8M'
for length in 48 49 56 5000 100000; do
	same_cut qcow "$length"
done

# a table that begins nowhere near, as in QEMU's test 080
create qcow2 -o cluster_size=64K far 64M
io far qcow2 'write -P 3 0 64K'
cp far snapshots
poke snapshots 60 00010000
poke snapshots 64 0000000001000000
ends "$BAD_IMAGE" info --output json snapshots
grep -q 'the snapshot table ends before snapshot 1 of 65536' err
python3 -c 'import json; assert json.load(open("out"))["virtual-size"] == 64 << 20'
"$QCOWCTL" map --output json far >want.json
for what in snapshots '48 0000100000000000' '48 0000000001000000'; do
	cp far part
	# shellcheck disable=SC2086 # two words
	if [[ $what == snapshots ]]; then cp snapshots part; else poke part $what; fi
	"$QCOWCTL" map --output json part >got.json 2>/dev/null
	cmp want.json got.json
done
poke far 40 0000100000000000
same_map qcow2 far 2>/dev/null

# the snapshots before the one that is lost are there
create qcow2 -o cluster_size=512 several 1M
for name in one two three; do
	qemu-img snapshot -c "$name" several
done
offset=$(python3 -c 'import struct; print(struct.unpack(">Q", open("several", "rb").read(72)[64:])[0])')
head -c $((offset + 100)) several >part
ends "$BAD_IMAGE" info --output json part
python3 -c '
import json
assert [s["name"] for s in json.load(open("out"))["snapshots"]] == ["one"]'
expect "$NO_DRIVER" 'the snapshot table ends before snapshot 2 of 3' attach --snapshot one part
expect "$BAD_IMAGE" 'the snapshot table ends before snapshot 2 of 3' attach --snapshot two part

# without the name of its backing file an overlay is described, not read
create qcow2 -u -b base.qcow2 -F qcow2 over 1M
head -c 512 over >part
ends "$BAD_IMAGE" info part
grep -q 'virtual size: 1M' out
grep -q "backing file's name, 10 bytes at 0x[0-9a-f]*, is beyond the end" err
ends "$BAD_IMAGE" map part
ends "$BAD_IMAGE" attach -r part
