#!/bin/bash
# Bits that the driver does not keep true are cleared when it writes, what it does not know
# otherwise stays; a read-only attach changes no byte; what is marked dirty or corrupt is
# refused read-write.
# kernels: 6.12 6.1 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o lazy_refcounts=on image 4M
image_io qcow2 image "write -q -s noise0 100K 70K" "write -q -s noise1 2M 40K"
qemu-img bitmap --add image one
image_io qcow2 image "write -q -s noise1 1M 64K"
python - image <<'PY'
import struct
import sys

END, UNKNOWN = 0, 0x1badf00d

with open(sys.argv[1], "r+b") as f:
    header = bytearray(f.read(65536))
    at = struct.unpack_from(">I", header, 100)[0]
    while struct.unpack_from(">I", header, at)[0] != END:
        at += 8 + (struct.unpack_from(">I", header, at + 4)[0] + 7) // 8 * 8
    added = struct.pack(">II8s", UNKNOWN, 5, b"hello") + struct.pack(">II", END, 0)
    header[at:at + len(added)] = added
    # bits of compatible and autoclear features that nobody knows
    header[80] |= 0x80
    header[88] |= 0x40
    f.seek(0)
    f.write(header)
PY
assert_eq "$(peek image 88 8)" $(((0x40 << 56) + 1)) "autoclear bits"
compatible=$(peek image 80 8)
head -c 65536 image | tail -c +97 >extensions
cp image marked
keep image
dev=$(attach -r image)
cat "$dev" >shadow
detach "$dev"
assert_unchanged

dev=$(attach image)
dd if=noise2 of="$dev" bs=512 seek=5000 count=100 oflag=direct conv=fsync status=none
dd if=noise2 of=shadow bs=512 seek=5000 count=100 conv=notrunc status=none
assert_eq "$(peek image 88 8)" 0 "autoclear bits while it is attached"
detach "$dev"
assert_eq "$(peek image 88 8)" 0 "autoclear bits"
assert_eq "$(peek image 80 8)" "$compatible" "compatible bits"
assert_eq "$(peek image 72 8)" 0 "incompatible bits"
head -c 65536 image | tail -c +97 | cmp - extensions || fail "the extensions have changed"
assert_image_is shadow image
# to QEMU the bitmap is no more, and its clusters are leaked; that is how it is meant
status=0
output=$(qemu-img check -r leaks image 2>&1) || status=$?
[[ $status -eq 0 || $status -eq 3 ]] || fail "qemu-img check: $status: $output"
assert_clean image

# nothing written: it may be cleared all the same, and nothing else
cp marked image
dev=$(attach image)
detach "$dev"
cmp -i 96 -n 65440 marked image || fail "the header changed without a write"

# lazy refcounts: dirty at most while it is attached
qemu-img create -q -f qcow2 -o lazy_refcounts=on lazy 4M
dev=$(attach lazy)
dd if=noise2 of="$dev" bs=64K count=1 oflag=direct conv=fsync status=none
[[ $(peek lazy 72 8) -le 1 ]] || fail "incompatible bits of lazy: $(peek lazy 72 8)"
detach "$dev"
assert_eq "$(peek lazy 72 8)" 0 "incompatible bits of lazy"
assert_eq "$(peek lazy 80 8)" 1 "lazy refcounts"
assert_clean lazy

for bits in 1 2 3; do
	cp lazy "lazy$bits"
	poke "lazy$bits" 79 "0$bits"
	cp "lazy$bits" before
	assert_fails 'dirty|corrupt' qcowctl attach "lazy$bits"
	cmp "lazy$bits" before
	dev=$(attach -r "lazy$bits")
	detach "$dev"
	cmp "lazy$bits" before
done
