#!/bin/bash
# Version 1 has no reference counts: bytes with two users, entries beyond the end of the
# file, and space that nothing refers to are found. That is given back, wherever it lies, and a
# power cut in the middle of that does no harm.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
create qcow base 64M
io base qcow 'write -P 1 0 1M' 'write -P 2 40M 64K'
create_v1_compressed base packed
for image in base packed; do
	"$QCOWCTL" check "$image" >out
	grep -q 'No errors were found' out
done
"$QCOWCTL" check --output json base >out
grep -q '"format": *"qcow"' out
grep -q '"allocated-clusters": *272' out

# fault NAME: damages the copy
fault() {
	cp base image
	python3 - "$1" <<-'PY'
	import os
	import struct
	import sys

	with open("image", "r+b") as f:
	    def get(at):
	        f.seek(at)
	        return struct.unpack(">Q", f.read(8))[0]

	    def put(at, value):
	        f.seek(at)
	        f.write(struct.pack(">Q", value))

	    l1 = get(40)
	    l2 = get(l1)
	    size = os.fstat(f.fileno()).st_size
	    {
	        "double": lambda: put(l2 + 8, get(l2)),
	        "double-l2": lambda: put(l1 + 8, l2),
	        "over-l1": lambda: put(l2, l1),
	        "over-header": lambda: put(l1, 16),
	        "data-over-header": lambda: put(l2, 512),
	        "over-l2": lambda: put(l2, l2),
	        "beyond-l1": lambda: put(l1, size + 65536),
	        "beyond-l2": lambda: put(l2, size + 65536),
	        "beyond-table": lambda: put(40, size + 65536),
	        "reserved": lambda: put(l2, get(l2) | 1 << 60),
	        "unaligned": lambda: put(l2, get(l2) + 8),
	        "gap": lambda: put(l2, 0),
	        "tail": lambda: f.truncate(size + 10 * 4096),
	    }[sys.argv[1]]()
	PY
}
while read -r name pattern; do
	fault "$name"
	expect 2 "$pattern" check image
	cp image before
	expect 2 "$pattern" check -r all image
	cmp -s before image || die "$name cannot be repaired, but something has changed"
done <<'EOT'
double used twice
double-l2 2 L1 entries have it
over-l1 used twice
over-header over the header
over-l2 used twice
reserved reserved bits
unaligned not at a cluster border
EOT
while read -r name; do
	fault "$name"
	cp image before
	expect 2 'beyond the end' check image
	"$QCOWCTL" check -r all image >out 2>err || [[ $? -eq 3 ]] || die "$name: $(cat err)"
	qemu-img compare -q -f qcow -F qcow before image || die "$name: other content"
done <<'EOT'
beyond-l1
beyond-l2
beyond-table
EOT
fault gap
expect 3 '1 clusters at 0x.*nothing refers' check image
cp image before
expect 0 'nothing refers' check -r leaks image
qemu-img compare -q before image
[[ $(stat -c %s image) -eq $(($(stat -c %s base) - 4096)) ]] || die "length $(stat -c %s image)"
ends 0 check image
fault tail
expect 3 '10 clusters at 0x.*nothing refers' check image
cp image before
"$QCOWCTL" check -r leaks --output json image >out 2>err
grep -q '"leaks-fixed": *10' out
cmp image base

# forget IMAGE STEP KEEP: of its L2 entries all but every STEP-th, and those of the last KEEP tables
forget() {
	python3 - "$@" <<-'PY'
	import struct
	import sys

	name, step, keep = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
	with open(name, "r+b") as f:
	    header = f.read(48)
	    size, bits, l2_bits = struct.unpack_from(">QBB", header, 24)
	    l1 = struct.unpack(">Q", header[40:48])[0]
	    f.seek(l1)
	    tables = [t for t in struct.unpack(f">{-(-size >> bits + l2_bits)}Q",
	                                       f.read(8 * -(-size >> bits + l2_bits))) if t]
	    for table in tables[:len(tables) - keep]:
	        for index in range(1 << l2_bits):
	            if index % step:
	                f.seek(table + 8 * index)
	                f.write(bytes(8))
	PY
}

# gaps all over, data and tables behind them
create qcow many 64M
io many qcow 'write -P 1 0 3M' 'write -P 2 8M 1M' 'write -P 3 20M 300K' 'write -P 4 30M 64K' \
	'write -P 5 1M 2M'
# clusters of 512 bytes and tables of 32 KiB
truncate -s 1M below
create qcow -b below -F raw small 8M
io small qcow 'write -P 1 0 500K' 'write -P 2 3M 100K' 'write -P 3 5M 100K' 'write -P 4 7M 5K'
create_v1_compressed base packed
io packed qcow 'write -P 7 128K 600K'
for case in "many 3 2" "many 64 1" "many 1000 0" "small 5 1" "small 1000 1" "packed 2 1"; do
	read -r image step keep <<<"$case"
	cp "$image" image
	forget image "$step" "$keep"
	cp image before
	expect 3 'nothing refers' check image
	"$QCOWCTL" check -r leaks image >out 2>/dev/null || die "$case: $(cat out)"
	qemu-img compare -q before image || die "$case: other bytes"
	[[ $(stat -c %s image) -lt $(stat -c %s before) ]] || die "$case: as long as before"
	ends 0 check image
done

cc -O1 -shared -fPIC -D_GNU_SOURCE -o cut.so "$here/cut.c"
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
create qcow few 4M
io few qcow 'write -P 1 0 40K' 'write -P 2 2M 12K' 'write -P 3 60K 8K'
forget few 2 1
for ((cut = 0; ; cut++)); do
	status=0
	cp few image
	CUT=$cut LD_PRELOAD=$PWD/cut.so "$QCOWCTL" check -q -r leaks image || status=$?
	[[ $status -eq 77 ]] || break
	qemu-img compare -q few image || die "cut $cut: the guest's bytes have changed"
	"$QCOWCTL" check -q -r leaks image || die "cut $cut: cannot be repaired"
	qemu-img compare -q few image || die "cut $cut: repaired, the guest's bytes have changed"
done
[[ $status -eq 0 && $cut -gt 5 ]] || die "status $status after $cut cuts"
