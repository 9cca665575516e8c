#!/bin/bash
# Version 1 images of every cluster and table size that a header may state are
# read as QEMU reads them, with data at any sector of the file.
# kernels: 6.12
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
pairs=() devices=()
for geometry in "9 6" "9 13" "12 9" "13 6" "16 6" "16 13"; do
	read -r cluster_bits l2_bits <<<"$geometry"
	image=v1-$cluster_bits-$l2_bits
	python - "$image" "$cluster_bits" "$l2_bits" "$SEED" <<'PY'
import struct
import sys
import zlib
from _random import Random

name, bits, l2_bits, seed = sys.argv[1], *map(int, sys.argv[2:])
random = Random(seed + bits * 16 + l2_bits)
cluster = 1 << bits
size = min(cluster << l2_bits + 1, 3 << 20) - 512
entries = -(-size >> bits + l2_bits)
l1 = [0] * entries
image = bytearray(48 + 8 * entries)
tables = {}


def append(data, align):
    image.extend(bytes(-len(image) % align))
    at = len(image)
    image.extend(data)
    return at


for at in range(0, size, cluster):
    # every second one is a hole
    if random.random() < 0.5 or len(image) > 2 << 20:
        continue
    table = tables.setdefault(at >> bits + l2_bits, [0] * (1 << l2_bits))
    index = at >> bits & (1 << l2_bits) - 1
    kind = random.random()
    text = b"%016x" % random.getrandbits(64)
    if kind < 0.3:
        packer = zlib.compressobj(9, zlib.DEFLATED, -12)
        packed = packer.compress(text * (cluster // 16)) + packer.flush()
        table[index] = 1 << 63 | len(packed) << 63 - bits | append(packed, 1)
    else:
        # a sector between clusters, so that they lie at any
        append(b"", 512)
        if kind < 0.6:
            image.extend(bytes(512))
        table[index] = append(b"".join(b"%016x" % random.getrandbits(64)
                                       for _ in range(cluster // 16)), 512)
for number, table in tables.items():
    l1[number] = append(struct.pack(f">{1 << l2_bits}Q", *table), 512)
append(b"", 512)
image[:48] = struct.pack(">IIQIIQBBHIQ", 0x514649fb, 1, 0, 0, 0, size, bits, l2_bits, 0, 0, 48)
image[48:48 + 8 * entries] = struct.pack(f">{entries}Q", *l1)
with open(name, "wb") as f:
    f.write(image)
PY
	raw_of "$image" -f qcow
	dev=$(attach -r "$image")
	echo "$dev: $image, $(blockdev --getsize64 "$dev") bytes"
	assert_attr "$dev" version 1
	devices+=("$dev")
	pairs+=("$dev" "$image.raw")
done
assert_same_reads "${pairs[@]}"
detach "${devices[@]}"
