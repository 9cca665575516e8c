#!/bin/bash
# Bits that the driver does not keep true are cleared when it writes, what it does not know
# otherwise stays, and persistent bitmaps that are enabled are marked meanwhile; a read-only attach
# changes no byte; what is marked dirty or corrupt is refused read-write.
# kernels: 6.12 6.1 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/bitmaps.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o lazy_refcounts=on image 4M
image_io qcow2 image "write -q -s noise0 100K 70K" "write -q -s noise1 2M 40K"
qemu-img bitmap --add image one
qemu-img bitmap --add --disable image two
qemu-img bitmap --add -g 128K image three
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
# other_extensions IMAGE: each but that of the bitmaps, in an order of their own
other_extensions() {
	python - "$1" <<'PY'
import struct
import sys

with open(sys.argv[1], "rb") as f:
    header = f.read(65536)
at = struct.unpack_from(">I", header, 100)[0]
found = []
while struct.unpack_from(">I", header, at)[0]:
    kind, length = struct.unpack_from(">II", header, at)
    if kind != 0x23852875:
        found.append(header[at:at + 8 + length].hex())
    at += 8 + (length + 7) // 8 * 8
print(*sorted(found), sep="\n")
PY
}

other_extensions image >extensions
cp image marked
keep image
dev=$(attach -r image)
cat "$dev" >shadow
detach "$dev"
assert_unchanged

assert_eq "$(bitmaps image)" "one=auto three=auto two=" "bitmaps"
dev=$(attach image 2>said)
assert_eq "$(<said)" ""
assert_eq "$(bitmaps image)" "one=auto three=auto two=" "bitmaps before the first write"
dd if=noise2 of="$dev" bs=512 seek=5000 count=100 oflag=direct conv=fsync status=none
dd if=noise2 of=shadow bs=512 seek=5000 count=100 conv=notrunc status=none
assert_eq "$(peek image 88 8)" 1 "autoclear bits while it is attached"
assert_eq "$(bitmaps image)" "one=auto+in-use three=auto+in-use two=" "bitmaps"
detach "$dev"
assert_eq "$(peek image 88 8)" 1 "autoclear bits"
assert_eq "$(peek image 80 8)" "$compatible" "compatible bits"
assert_eq "$(peek image 72 8)" 0 "incompatible bits"
assert_eq "$(bitmaps image)" "one=auto three=auto two=" "bitmaps afterwards"
# but for where their directory is, and the order
other_extensions image >after
cmp extensions after || fail "the extensions have changed"
assert_image_is shadow image
assert_clean image
for name in one three two; do
	qemu-img bitmap --remove image "$name"
done
assert_clean image

# bitmaps that cannot be understood are refused, or lost with their autoclear bit
cp marked image
dir=$(bitmap_dir image)
poke image $((dir + 12)) 80000002
assert_refused 5 "reserved flags 0x80000002" qcowctl attach image
dev=$(attach --drop-bitmaps image 2>said)
assert_match "$(<said)" "reserved flags 0x80000002"
assert_match "$(<said)" "the first write loses the persistent bitmaps"
dd if=noise2 of="$dev" bs=512 seek=5000 count=100 oflag=direct conv=fsync status=none
detach "$dev"
assert_eq "$(peek image 88 8)" 0 "autoclear bits"
assert_image_is shadow image

# nothing written: it may be cleared all the same, and nothing else
cp marked image
dev=$(attach image)
detach "$dev"
cmp -i 96 -n 65440 marked image || fail "the header changed without a write"
assert_eq "$(bitmaps image)" "one=auto three=auto two=" "bitmaps without a write"

# lazy refcounts: counts are always true, so the image is never dirty, and no bit of that is to be
# cleared by the first of several who close it
qemu-img create -q -f qcow2 -o lazy_refcounts=on lazy 4M
dev=$(attach lazy)
dd if=noise2 of="$dev" bs=64K count=1 oflag=direct conv=fsync status=none
assert_eq "$(peek lazy 72 8)" 0 "incompatible bits of lazy while it is attached"
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
