#!/bin/bash
# Where the store of the metadata has larger blocks than clusters or tables, tables of all kinds
# lie in one block: each is changed by itself, whichever others are changed meanwhile.
# kernels: 6.12
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

model() { "$QCOW_ROOT/scripts/vm/guest/model" -s "$SEED" "$@" || fail "model $*"; }

# session IMAGE SHADOW FORMAT [ATTACH OPTION...]: IMAGE on a disk with sectors of 4 KiB
session() {
	local loop dev
	loop=$(losetup -f --show --sector-size 4096 "$1")
	dev=$(attach "${@:4}" "$loop")
	assert_attr "$dev" store bdev
	model -t 3 -l 16384 "$dev" "$2"
	detach "$dev"
	assert_clean "$loop"
	assert_image_is "$2" "$loop" "$3"
	losetup -d "$loop"
	SEED=$((SEED + 1))
}

random_seed
# clusters of 512 bytes: eight tables, blocks of counts, header to a block; data elsewhere
for options in refcount_bits=16 refcount_bits=64; do
	qemu-img create -q -f qcow2 -o "cluster_size=512,$options,data_file=$PWD/data" image 8M
	truncate -s 16M image
	truncate -s 8M shadow
	for _ in 1 2; do
		session image shadow qcow2 --allow-backing "$PWD"
	done
	rm image data shadow
done

# version 1: header, L1 table and L2 tables of 512 bytes in one block, and clusters of 4 KiB
python - v1 <<'PY'
import struct
import sys

TABLES = 16
SIZE = TABLES * 64 * 4096
image = struct.pack(">IIQIIQBBHIQ", 0x514649fb, 1, 0, 0, 0, SIZE, 12, 6, 0, 0, 48)
image += struct.pack(f">{TABLES}Q", *(512 * (1 + nr) for nr in range(TABLES)))
with open(sys.argv[1], "wb") as f:
    f.write(image)
    f.truncate(512 * (1 + TABLES))
PY
truncate -s 16M v1
truncate -s 4M shadow
for _ in 1 2; do
	session v1 shadow qcow
done
