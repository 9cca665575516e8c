#!/bin/bash
# map says which entry is wrong.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 -o cluster_size=64K a 8M
io a qcow2 'write 0 1M'
l1=$(python3 -c 'import struct; print(struct.unpack(">Q", open("a", "rb").read(48)[40:])[0])')
cp a reserved
poke reserved "$l1" ff
expect "$BAD_IMAGE" 'reserved: guest offset 0: L1 entry 0xff.*reserved bits' map reserved
cp a far
poke far "$l1" 8000ffff00000000
expect "$BAD_IMAGE" 'far: guest offset 0: L1 entry .*beyond the end of the file' map far
