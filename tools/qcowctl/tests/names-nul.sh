#!/bin/bash
# Writers that count the NUL at the end of a name or a format are understood; nothing hides
# behind one.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# longer IMAGE BYTES TYPE...: count so many bytes more of the backing file's name (name) or of an
# extension, of which padding follows
longer() {
	python3 - "$@" <<-'PY'
	import struct, sys
	name, more, *what = sys.argv[1:]
	with open(name, "r+b") as f:
	    head = f.read(4096)
	    for w in what:
	        at = 16 if w == "name" else head.index(bytes.fromhex(w)) + 4
	        f.seek(at)
	        f.write(struct.pack(">I", struct.unpack_from(">I", head, at)[0] + int(more)))
	PY
}
format=e2792aca data=44415441
create raw base.raw 3M
for more in 1 4; do
	create qcow2 -u -b base.raw -F raw a 1M
	longer a $more name $format
	same_info qcow2 a --backing-chain
	same_map qcow2 a
	expect_ready -r a
done
create qcow -u -b base.raw -F raw v1 1M
longer v1 1 name
"$QCOWCTL" info --backing-chain --backing-format raw v1 >out
grep -q 'image: base.raw$' out
create qcow2 -o data_file=d b 1M
longer b 1 $data
expect_ready -r b
# a NUL alone is no name, and no format
create qcow2 -u -b x -F raw c 1M
poke c "$(grep -abo 'x$' <(head -c 4096 c | tr '\0' '\n') | tail -n 1 | cut -d: -f1)" 00
expect_ready -r c
# what comes behind one is not ignored
create qcow2 -u -b base.raw -F raw e 1M
poke e "$(grep -abo base.raw e | head -n 1 | cut -d: -f1)+4" 00
expect "$BAD_IMAGE" "the backing file's name has a NUL byte in it" attach -r e
create qcow2 -u -b base.raw -F raw e 1M
poke e "$(grep -abo raw e | head -n 1 | cut -d: -f1)+1" 00
expect "$BAD_IMAGE" "the backing file's format has a NUL byte in it" attach -r e
