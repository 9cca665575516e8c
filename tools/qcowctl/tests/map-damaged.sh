#!/bin/bash
# map says which entry is wrong, shows what it maps as damaged, and goes on behind it.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# damaged IMAGE START LENGTH DEPTH [OPTION...]: that and nothing else is not as in whole.json
damaged() {
	local image=$1 start=$2 length=$3 depth=$4
	shift 4
	"$QCOWCTL" map "$@" "$image" >human 2>/dev/null && die "map $image ends with 0"
	grep -Eq "^ *$(printf '%#x' "$start" | sed s/^0x0$/0/) +$(printf '%#x' "$length") +- damaged +$depth$" \
		human || die "not damaged: $(cat human)"
	"$QCOWCTL" map --output json "$@" "$image" >got.json 2>/dev/null ||
		[[ $? -eq $BAD_IMAGE ]] || die "map of $image: another status"
	python3 - "$start" "$length" "$depth" <<-'PY'
	import json, sys
	start, length, depth = map(int, sys.argv[1:])
	def at(ranges, pos):
	    for r in ranges:
	        if r["start"] <= pos < r["start"] + r["length"]:
	            skip = {"start", "length"}
	            return {k: v - r["start"] if k == "offset" else v for k, v in r.items()
	                    if k not in skip}
	want, got = json.load(open("whole.json")), json.load(open("got.json"))
	bad = [r for r in got if r.get("damaged")]
	assert bad == [{"start": start, "length": length, "depth": depth, "present": True,
	                "zero": False, "data": False, "compressed": False, "damaged": True}], bad
	end = want[-1]["start"] + want[-1]["length"]
	assert got[-1]["start"] + got[-1]["length"] == end
	for pos in range(0, end, 4096):
	    if not start <= pos < start + length:
	        assert at(want, pos) == at(got, pos), (pos, at(want, pos), at(got, pos))
	PY
}

# an L2 table maps 2 MiB
create qcow2 -o cluster_size=4K a 8M
io a qcow2 'write 0 1M' 'write 3M 2M' 'write -z 6M 64K'
"$QCOWCTL" map --output json a >whole.json
read -r l1 l2 < <(python3 - <<'PY'
import struct
data = open("a", "rb").read()
l1 = struct.unpack(">Q", data[40:48])[0]
print(l1, struct.unpack(">Q", data[l1:l1 + 8])[0] & (1 << 56) - 512)
PY
)
cp a reserved
poke reserved "$l1" ff
expect "$BAD_IMAGE" 'reserved: guest offset 0: L1 entry 0xff.*reserved bits' map reserved
damaged reserved 0 $((2 << 20)) 0
cp a unaligned
poke unaligned "$l1 + 8 + 6" 0200
damaged unaligned $((2 << 20)) $((2 << 20)) 0
cp a entry
poke entry "$l2 + 3 * 8 + 6" 0200
poke entry "$l2 + 4 * 8 + 6" 0200
expect "$BAD_IMAGE" 'entry: guest offset 12288: L2 entry .*unaligned host offset' map entry
damaged entry 12288 8192 0

# below a hole of the same length only, and with the layer's number
cp a clean
create qcow2 -o cluster_size=4K -b clean -F qcow2 over 8M
io over qcow2 'write 16K 4K'
"$QCOWCTL" map --output json over >whole.json
qemu-img rebase -u -b entry -F qcow2 over
damaged over 12288 4096 1

# messages have an end, the ranges do not
cp a many
python3 - "$l2" <<'PY'
import sys
with open("many", "r+b") as f:
    for i in range(0, 200, 2):
        f.seek(int(sys.argv[1]) + 8 * i)
        f.write(bytes.fromhex("800000000000fe00"))
PY
expect "$BAD_IMAGE" '80 more damaged ranges' map --output json many
[[ $(wc -l <err) -eq 21 ]] || die "$(cat err)"
[[ $(grep -c '"damaged": true' out) -eq 100 ]] || die "$(cat out)"
