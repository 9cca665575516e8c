#!/bin/bash
# A detach leaves no gap in a version 1 image: neither what was set aside and not used nor what
# was discarded or replaced, nor what others have left there; whatever the size of its tables.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# put BLOCK-SIZE SEEK COUNT SOURCE: to the device and the shadow
put() {
	dd if="$4" of="$dev" bs="$1" seek="$2" count="$3" oflag=direct status=none
	dd if="$4" of=shadow bs="$1" seek="$2" count="$3" conv=notrunc status=none
}

# drop OFFSET LENGTH: whole clusters
drop() {
	blkdiscard -o "$1" -l "$2" "$dev"
	dd if=/dev/zero of=shadow bs=512 seek=$(($1 / 512)) count=$(($2 / 512)) conv=notrunc \
		status=none
}

# finish: the image has what the shadow has and no gap; prints its length
finish() {
	cmp "$dev" shadow || fail "the device has other bytes"
	detach "$dev"
	assert_clean image
	assert_image_is shadow image qcow
	stat -c "$1: %s bytes" image
}

# make CLUSTER_BITS L2_BITS MIB: an empty image
make() {
	python - image "$@" <<'PY'
import struct
import sys

bits, l2_bits, mib = map(int, sys.argv[2:])
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack(">IIQIIQBBHIQ", 0x514649fb, 1, 0, 0, 0, mib << 20, bits, l2_bits, 0, 0,
                        48))
    f.truncate(48 + 8 * -(-(mib << 20) >> bits + l2_bits) + 511 & -512)
PY
	truncate -s "$3M" shadow
}

random_seed
fill data 2M "$SEED"

# streams, one behind the other: windows that are not used up
qemu-img create -q -f qcow image 16M
truncate -s 16M shadow
dev=$(attach image)
put 4K 8 1 data
put 64K 0 1 data
put 64K 16 1 data
finish streams
[[ $(stat -c %s image) -le $((48 * 4096)) ]] || fail "$(stat -c %s image) bytes"

# discards all over, tables and data behind them; tables of one cluster, of 64, of an eighth
for geometry in "12 9" "9 12" "12 6"; do
	read -r bits l2_bits <<<"$geometry"
	rm -f image shadow
	make "$bits" "$l2_bits" 32
	dev=$(attach image)
	put 64K 0 32 data
	put 64K 128 4 data
	for ((at = 0; at < 2 << 20; at += 163840)); do
		drop $at 32768
	done
	put 64K 320 8 data
	put 4K 7000 1 data
	finish "$geometry, discards"
	# again, with gaps of its own
	dev=$(attach image)
	drop $((8 << 20)) $((1 << 18))
	put 4K 4100 3 data
	finish "$geometry, again"
done

# tables of 64 clusters at the end: behind where the file is to end, across it, and in front of it
for dropped in 1 20 64 90 130 200 400; do
	rm -f image shadow
	make 9 12 16
	dev=$(attach image)
	put 64K 0 6 data
	put 4K 512 1 data
	put 4K 1024 2 data
	put 4K 1536 1 data
	drop 0 $((dropped * 512))
	finish "tables at the end, $dropped dropped"
done

# compressed clusters that are written to
python - text <<'PY'
import sys

with open(sys.argv[1], "wb") as f:
    for number in range(512):
        f.write((b"cluster %d" % number).ljust(4096, b"\0"))
PY
rm image
cp text shadow
qemu-img convert -c -f raw -O qcow text image 2>/dev/null || [[ -s image ]]
dev=$(attach image)
put 4K 0 400 data
finish compressed

# what somebody else has left
python - image <<'PY'
import struct
import sys

with open(sys.argv[1], "r+b") as f:
    f.seek(40)
    f.seek(struct.unpack(">Q", f.read(8))[0])
    table = struct.unpack(">Q", f.read(8))[0]
    for index in range(0, 300, 3):
        f.seek(table + 8 * index)
        f.write(bytes(8))
PY
assert_refused 3 'nothing refers to them' qcowctl check image
qemu-img convert -f qcow -O raw image shadow
dev=$(attach image)
put 4K 5 1 data
finish left
