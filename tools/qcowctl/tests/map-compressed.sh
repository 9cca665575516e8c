#!/bin/bash
# map knows compressed clusters.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

python3 -c 'print("a line that repeats\n" * 150000)' >raw
truncate -s 8M raw
qemu-img convert -c -O qcow2 raw zlib
qemu-img convert -c -O qcow2 -o compression_type=zstd raw zstd
qemu-img convert -c -O qcow2 -o compat=0.10,cluster_size=4K raw v2
create_v1_compressed raw v1
for image in zlib zstd v2; do
	same_map qcow2 "$image"
done
same_map qcow v1
grep -q '"compressed": true' got.json
