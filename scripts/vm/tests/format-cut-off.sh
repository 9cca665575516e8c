#!/bin/bash
# An image whose file ends early, in any table or in data, reads as QEMU reads it; to write to it
# is refused with the repair, and after that it is an image like any other.
# kernels: 6.12
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

# same_as_qemu FORMAT LENGTH: the first bytes of image
same_as_qemu() {
	head -c "$2" image >part
	qemu-img convert -f "$1" -O raw part part.raw
	dev=$(attach -r part 2>said)
	cmp "$dev" part.raw || fail "$1 of $2 bytes: other content than QEMU reads"
	detach "$dev"
}

# written_after_repair FORMAT
written_after_repair() {
	# what the header refers to may be there in spite of the cut
	if ! dev=$(qcowctl attach part 2>said); then
		grep -q "beyond the \(file's end\|end of the file\)" said || fail "$1: $(<said)"
		grep -q 'try: qcowctl attach -r part, or qcowctl check -r all part' said ||
			fail "no hint: $(<said)"
		qcowctl check -q -r all part || [[ $? -eq 3 && $1 == qcow ]] ||
			fail "$1 of $(stat -c %s part) bytes is not repaired"
		dev=$(attach part)
	fi
	cmp "$dev" part.raw || fail "$1: other content after the repair"
	dd if=noise of="$dev" bs=64K seek=3 count=2 oflag=direct status=none
	dd if=noise of=part.raw bs=64K seek=3 count=2 conv=notrunc status=none
	detach "$dev"
	qemu-img compare -q -f "$1" -F raw part part.raw || fail "$1: QEMU reads something else"
	[[ $1 == qcow ]] || qemu-img check -q part || fail "$1: not clean"
}

fill noise 1M
for options in cluster_size=4K compat=0.10,cluster_size=512 cluster_size=64K ''; do
	format=qcow2
	[[ -n $options ]] || format=qcow
	qemu-img create -q -f "$format" ${options:+-o "$options"} image 8M
	image_io "$format" image "write -q -s noise 0 1M" "write -q -P 7 2M 2M" "write -q -s noise 5M 1M"
	bytes=$(stat -c %s image)
	for length in 512 4100 12288 12300 17000 66000 196700 262144 270000 $((bytes / 2)) \
		$((bytes - 5)); do
		same_as_qemu "$format" "$length"
		case $length in 12300 | 17000 | 196700 | 270000) written_after_repair "$format" ;; esac
	done
done

# a snapshot table beyond the end costs the snapshots
qemu-img create -q -f qcow2 image 8M
image_io qcow2 image "write -q -s noise 0 1M"
qemu-img convert -O raw image image.raw
printf '\0\1\0\0\0\0\0\0\1\0\0\0' | dd of=image bs=1 seek=60 conv=notrunc status=none
dev=$(attach -r image)
cmp "$dev" image.raw
detach "$dev"
assert_refused 4 'the snapshot table ends before snapshot 1' qcowctl attach --snapshot 1 image
assert_refused 4 'try: qcowctl attach -r image, or qcowctl check -r all' qcowctl attach image
qcowctl check -q -r all image
dev=$(attach image)
cmp "$dev" image.raw
detach "$dev"

# a refcount block that ends early is no matter for a reader, and refused to a writer until it is
# repaired
qemu-img create -q -f qcow2 image 8M
image_io qcow2 image "write -q -s noise 0 1M"
python3 - <<'PY'
import struct
with open("image", "r+b") as f:
    f.seek(48)
    table, = struct.unpack(">Q", f.read(8))
    f.seek(table)
    block, = struct.unpack(">Q", f.read(8))
    f.seek(block)
    counts = bytearray(f.read(65536))
    end = (f.seek(0, 2) + 65535) // 65536 * 65536
    struct.pack_into(">H", counts, block // 65536 * 2, 0)
    struct.pack_into(">H", counts, end // 65536 * 2, 1)
    f.seek(end)
    f.write(counts)
    f.seek(table)
    f.write(struct.pack(">Q", end))
    f.truncate(end + 512 + 100)
PY
raw_of image
dev=$(attach -r image)
cmp "$dev" image.raw
detach "$dev"
assert_refused 4 'refcount block beyond the end of the file' qcowctl attach image
assert_refused 4 'try: qcowctl attach -r image, or qcowctl check -r all' qcowctl attach image
assert qcowctl check -q -r all image
dev=$(attach image)
cmp "$dev" image.raw
dd if=noise of="$dev" bs=64K seek=64 oflag=direct conv=notrunc status=none
detach "$dev"
assert_clean image
