#!/bin/bash
# Header extensions and features that need not be known, and bitmaps, neither
# keep an image from being attached nor change.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
truncate -s 2M base
qemu-img create -q -f qcow2 -b base -F raw image 4M
random_writes 4194304 65536 noise text pattern zero unmap
image_io qcow2 image "${WRITES[@]}"
qemu-img bitmap --add image one
qemu-img bitmap --add --disable -g 64K image two
image_io qcow2 image "write -s noise1 1M 64K"
raw_of image

python - image <<'PY'
import struct
import sys

END, UNKNOWN = 0, 0x1badf00d

with open(sys.argv[1], "r+b") as f:
    header = bytearray(f.read(65536))
    at = struct.unpack_from(">I", header, 100)[0]
    backing, length = struct.unpack_from(">QI", header, 8)
    name = header[backing:backing + length]
    while struct.unpack_from(">I", header, at)[0] != END:
        at += 8 + (struct.unpack_from(">I", header, at + 4)[0] + 7) // 8 * 8
    # two unknown ones, of lengths that need filling up and of none
    added = struct.pack(">II8s", UNKNOWN, 5, b"hello") + struct.pack(">II", UNKNOWN + 1, 0)
    added += struct.pack(">II", END, 0)
    header[at:at + len(added) + length] = added + name
    struct.pack_into(">QI", header, 8, at + len(added), length)
    # bits of compatible and autoclear features that nobody knows
    header[80] |= 0x80
    header[88] |= 0x40
    f.seek(0)
    f.write(header)
PY
[[ $(qemu-img info image) == *'name: two'* ]] || fail "no bitmaps"
keep image
dev=$(attach -r image)
assert_attr "$dev" depth 2
assert_same_reads "$dev" image.raw
detach "$dev"
assert_unchanged
