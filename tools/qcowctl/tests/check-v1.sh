#!/bin/bash
# Version 1 has no reference counts: bytes with two users, entries beyond the end of the
# file, and space that nothing refers to are found; the end of the file can be cut off.
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
expect 3 'nothing refers' check -r leaks image
fault tail
expect 3 '10 clusters at 0x.*nothing refers' check image
cp image before
"$QCOWCTL" check -r leaks --output json image >out 2>err
grep -q '"leaks-fixed": *10' out
cmp image base
