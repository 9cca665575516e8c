#!/bin/bash
# Compressed clusters that begin anywhere in a sector and cross host clusters
# are decompressed, and no more of them is kept than is documented.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

# crossings IMAGE: how many compressed clusters begin inside a sector, and how
# many cross a border of host clusters
crossings() {
	python - "$1" <<'PY'
import struct
import sys

with open(sys.argv[1], "rb") as f:
    image = f.read()
version, = struct.unpack_from(">I", image, 4)
if version == 1:
    bits, l2_bits = struct.unpack_from(">BB", image, 32)
    l1, = struct.unpack_from(">Q", image, 40)
    size, = struct.unpack_from(">Q", image, 24)
    entries = -(-size >> bits + l2_bits)
    flag, shift = 1 << 63, 63 - bits
else:
    bits, = struct.unpack_from(">I", image, 20)
    l2_bits = bits - 3
    entries, = struct.unpack_from(">I", image, 36)
    l1, = struct.unpack_from(">Q", image, 40)
    flag, shift = 1 << 62, 62 - (bits - 8)
inside = crossing = 0
for table in struct.unpack_from(f">{entries}Q", image, l1):
    table &= (1 << 56) - 512
    if not table:
        continue
    for entry in struct.unpack_from(f">{1 << l2_bits}Q", image, table):
        if not entry & flag:
            continue
        at = entry & (1 << shift) - 1
        length = (entry & flag - 1) >> shift
        if version > 1:
            length = (length + 1) * 512 - at % 512
        inside += at % 512 > 0
        crossing += at >> bits != at + length - 1 >> bits
print(inside, crossing)
PY
}

random_seed
noise_files
cat text{0..7} noise0 text{0..7} >text
truncate -s 2M text

pairs=() devices=()
for case in "v1 qcow" "v2 qcow2 compat=0.10,cluster_size=4K" "v3 qcow2 cluster_size=64K" \
	"zstd qcow2 compression_type=zstd,cluster_size=64K" \
	"small qcow2 compression_type=zstd,cluster_size=1K"; do
	read -r image format options <<<"$case"
	# that of version 1 is good though qemu-img ends with 1
	qemu-img convert -c -f raw -O "$format" ${options:+-o "$options"} text "$image" ||
		[[ $format == qcow ]]
	read -r inside crossing < <(crossings "$image")
	echo "$image: $inside begin inside a sector, $crossing cross host clusters"
	# QEMU begins those of version 1 at sectors: format-v1-geometry does not
	[[ $crossing -ge 10 && ($inside -ge 10 || $image == v1) ]] ||
		fail "$image is no test"
	dev=$(attach -r "$image")
	devices+=("$dev")
	pairs+=("$dev" text)
done
assert_same_reads "${pairs[@]}"
for dev in "${devices[@]}"; do
	bytes=$(attr "$dev" inflated_bytes)
	[[ $bytes -gt 0 && $bytes -le $((4 << 20)) ]] || fail "$dev keeps $bytes bytes"
done
detach "${devices[@]}"
