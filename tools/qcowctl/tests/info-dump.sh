#!/bin/bash
# info --dump has every field and every entry that is in the file, of all versions, and goes on
# behind what is damaged; a large image does not need memory for it.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# verify IMAGE [DAMAGED]: what is dumped is what Python finds in the file; so many entries are
# damaged
verify() {
	local status=0 wanted=0
	[[ ${2:-0} -eq 0 ]] || wanted=$BAD_IMAGE
	"$QCOWCTL" info --dump --output json "$1" >dump.json 2>err || status=$?
	[[ $status -eq $wanted ]] || die "dump of $1: status $status: $(cat err)"
	python3 - "$1" "${2:-0}" <<'PY' || die "dump of $1 is wrong"
import json
import struct
import sys

name, damaged = sys.argv[1:]
with open(name, "rb") as f:
    data = f.read()
with open("dump.json") as f:
    dump = json.load(f)
MASK = 0x00FFFFFFFFFFFE00


def words(at, nr):
    part = data[at:at + 8 * nr].ljust(8 * nr, b"\0")
    return struct.unpack(f">{nr}Q", part)


def expand(records, nr, key):
    """Values of the entries, which are all there and in order."""
    values = []
    for r in records:
        assert r["index"] == len(values), r
        values += [r[key]] * r.get("repeat", 1)
    assert len(values) == nr, (len(values), nr)
    return values


def hexes(values):
    return [int(v, 16) for v in values]


h = dump["header"]
version = struct.unpack_from(">I", data, 4)[0]
if version == 1:
    layout, keys = ">IIQIIQBBHIQ", (
        "magic version backing_file_offset backing_file_size mtime size cluster_bits l2_bits "
        "padding crypt_method l1_table_offset")
else:
    layout, keys = ">IIQIIQIIQQIIQ", (
        "magic version backing_file_offset backing_file_size cluster_bits size crypt_method "
        "l1_size l1_table_offset refcount_table_offset refcount_table_clusters nb_snapshots "
        "snapshots_offset")
if version == 3:
    layout += "QQQIIB"
    keys += (" incompatible_features compatible_features autoclear_features refcount_order "
             "header_length compression_type")
raw = dict(zip(keys.split(), struct.unpack_from(layout, data)))
for key, value in raw.items():
    got = int(h[key], 16) if isinstance(h[key], str) else h[key]
    assert got == value, (key, h[key], value)
assert set(h) - set(raw) <= {"padding"}, h
extended = version == 3 and bool(raw["incompatible_features"] & 16)
cluster = 1 << raw["cluster_bits"]
l2_nr = 1 << raw["l2_bits"] if version == 1 else cluster // (16 if extended else 8)
l1_nr = raw["l1_size"] if version > 1 else -(-raw["size"] // (cluster * l2_nr))

l1 = words(raw["l1_table_offset"], l1_nr)
assert hexes(expand(dump["l1_table"], l1_nr, "entry")) == list(l1)
bad = [r for r in dump["l1_table"] if r.get("damaged")]
broken = {r["index"] for r in bad}
for r in dump["l1_table"]:
    entry = int(r["entry"], 16)
    assert not entry or version == 1 or r["l2_offset"] == entry & MASK, r
    assert r.get("copied", False) == (version > 1 and bool(entry >> 63)), r
want = [i for i, entry in enumerate(l1) if entry and i not in broken]
assert [t["l1_index"] for t in dump["l2_tables"]] == want, want
kinds = set()
for t in dump["l2_tables"]:
    assert t["offset"] == l1[t["l1_index"]] & (MASK if version > 1 else (1 << 63) - 1)
    entries = words(t["offset"], l2_nr * (2 if extended else 1))
    got = hexes(expand(t["entries"], l2_nr, "entry"))
    assert got == list(entries[::2] if extended else entries)
    for r in t["entries"]:
        if r.get("damaged"):
            bad.append(r)
            continue
        if not int(r["entry"], 16) and "kind" not in r:
            continue
        kinds.add(r["kind"])
        assert r["guest_offset"] == (t["l1_index"] * l2_nr + r["index"]) * cluster, r
        if extended:
            both = int(r["zero_subclusters"], 16) << 32 | int(r["allocated_subclusters"], 16)
            assert both == entries[2 * r["index"] + 1], r
        if r["kind"] == "data" and version > 1:
            assert r["host_offset"] == int(r["entry"], 16) & MASK, r
if version > 1:
    order = raw.get("refcount_order", 4)
    nr = raw["refcount_table_clusters"] * cluster // 8
    table = words(raw["refcount_table_offset"], nr)
    assert hexes(expand(dump["refcount_table"], nr, "entry")) == list(table)
    bad += [r for r in dump["refcount_table"] if r.get("damaged")]
    for b in dump["refcount_blocks"]:
        assert b["offset"] == table[b["table_index"]], b["table_index"]
        block = data[b["offset"]:b["offset"] + cluster].ljust(cluster, b"\0")
        width = 1 << order
        if width >= 8:
            counts = [int.from_bytes(block[i:i + width // 8], "big")
                      for i in range(0, cluster, width // 8)]
        else:
            counts = [byte >> shift & (1 << width) - 1
                      for byte in block for shift in range(0, 8, width)]
        assert expand(b["entries"], len(counts), "refcount") == counts, b["table_index"]
    assert len(dump["snapshots"]) == raw["nb_snapshots"]
assert len(bad) == int(damaged), bad
assert all(r["flaw"] for r in bad)
open("kinds", "a").write(" ".join(kinds) + "\n")
PY
	status=0
	"$QCOWCTL" info --dump "$1" >human 2>err || status=$?
	[[ $status -eq $wanted ]] || die "dump of $1 as text: status $status: $(cat err)"
	grep -q '^  magic: 0x514649fb$' human
	[[ $(grep -c damaged human) -eq ${2:-0} ]] || die "damaged in text: $(grep damaged human)"
}

create raw base 2M
create qcow2 -o compat=0.10,cluster_size=4K -b base -F raw v2 64M
io v2 qcow2 'write 0 64K' 'write 5M 300K' 'write -c 9M 4K'
qemu-img snapshot -c 'a name' v2
io v2 qcow2 'write 4K 8K'
verify v2
for bits in 1 4 32 64; do
	create qcow2 -o cluster_size=512,refcount_bits="$bits" v3 1M
	io v3 qcow2 'write 3K 99K' 'write -z 300K 10K' 'write -c 600K 512'
	verify v3
done
create qcow2 -o cluster_size=16K,extended_l2=on -b base -F raw sub 30M
io sub qcow2 'write 1K 100K' 'write -z 20M 300K' 'write -z 25M 2K'
verify sub
create qcow2 -o data_file=data.raw with-data 3M
io with-data qcow2 'write 0 128K'
verify with-data
create qcow -b base -F raw v1 20M
io v1 qcow 'write 0 100K' 'write 10M 4K'
verify v1
for kind in data compressed zero mixed; do
	grep -qw "$kind" kinds || die "no $kind in what was dumped"
done

# names of bits, extensions, snapshots
create qcow2 named 64M
qemu-img bitmap --add named bits
qemu-img snapshot -c two named
"$QCOWCTL" info --dump --output json named >dump.json
python3 - <<'PY'
import json
dump = json.load(open("dump.json"))
assert [(f["type"], f["name"]) for f in dump["features"]] == [("autoclear", "bitmaps")]
by_name = {e["name"]: e for e in dump["extensions"]}
assert by_name["bitmaps"]["nb_bitmaps"] == 1, by_name
assert {"type": "incompatible", "bit": 0, "name": "dirty bit"} in \
    by_name["feature names"]["features"]
assert dump["snapshots"][0]["name"] == "two" and dump["snapshots"][0]["l1_size"] == 1
PY
"$QCOWCTL" info --dump with-data >human
grep -q 'type incompatible bit 2 name "external data file"' human
grep -q 'name "external data file" length 8 data data.raw' human
"$QCOWCTL" info --dump v2 >human
grep -q 'name "a name"' human
grep -qE '^ +1-[0-9]+ 0x0000000000000000$' human || die "zeros are not abbreviated: $(cat human)"
# an extension that is not known, as bytes
cp sub odd
unstate odd
"$QCOWCTL" info --dump odd >human
grep -q 'type 0xe2792acb name unknown length 3 data 726177$' human

# damaged entries: of L1, L2 and the refcount table; the rest is there
create qcow2 -o cluster_size=4K bent 8M
io bent qcow2 'write 0 64K' 'write 3M 64K' 'write 7M 64K'
l1=$(python3 -c 'import struct; print(struct.unpack_from(">Q", open("bent", "rb").read(), 40)[0])')
poke bent $((l1 + 8)) 8000000000000401
l2=$(python3 -c 'import struct, sys
print(struct.unpack_from(">Q", open("bent", "rb").read(), int(sys.argv[1]))[0] & ~(1 << 63))' "$l1")
poke bent $((l2 + 16)) 8000000000005201
poke bent $((l2 + 24)) ff
refs=$(python3 -c 'import struct; print(struct.unpack_from(">Q", open("bent", "rb").read(), 48)[0])')
poke bent $((refs + 800)) 0000000000004003
verify bent 4
grep -q 'L1 entry 1: 0x8000000000000401: reserved bits 0x1' err
grep -q 'refcount table entry 100: 0x4003: reserved bits 0x3' err
[[ $(grep -c guest_offset human) -eq 32 ]] || die "entries are missing: $(cat human)"
# what is cut off reads as zeros
cp v3 cut
truncate -s 1024 cut
ends 0 info --dump --output json cut
grep -q 'warning' err
python3 -m json.tool <out >/dev/null

# a refused command line, no image, no device
expect "$USAGE" '--dump and --backing-chain exclude each other' info --dump --backing-chain v3
expect "$NOT_QCOW" 'base: ' info --dump base
expect "$NOT_FOUND" 'none' info --dump none
expect "$NOT_FOUND" 'qcow77: no such device' info --dump qcow77

# a hundred thousand entries do not have to be in memory
create qcow2 -o cluster_size=4K,preallocation=metadata large 512M
python3 - "$QCOWCTL" <<'PY'
import os
import subprocess
import sys
with open("large.json", "wb") as out:
    child = subprocess.Popen([sys.argv[1], "info", "--dump", "--output", "json", "large"],
                             stdout=out)
    _, status, usage = os.wait4(child.pid, 0)
assert status == 0, status
assert os.path.getsize("large.json") > 10 << 20
assert "san" in sys.argv[1] or usage.ru_maxrss < 20 << 10, usage.ru_maxrss
PY
