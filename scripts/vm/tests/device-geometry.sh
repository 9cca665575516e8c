#!/bin/bash
# HDIO_GETGEO of devices of all sizes and of a partition: heads and sectors as firmware translates
# them, cylinders that do not wrap, and where it starts.
# kernels: 6.12 6.1 7.3
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# geometry DEVICE: heads, sectors, cylinders, start
geometry() {
	python3 - "$1" <<-'PY'
	import fcntl
	import struct
	import sys

	with open(sys.argv[1], "rb") as device:
	    # unsigned char heads, sectors; unsigned short cylinders; unsigned long start
	    got = fcntl.ioctl(device, 0x0301, bytes(16))
	print(*struct.unpack("@BBHL", got))
	PY
}

# expect_geometry SECTORS GEOMETRY
expect_geometry() {
	local dev
	rm -f image
	qemu-img create -q -f qcow2 -o cluster_size=2M image "$(($1 * 512))"
	dev=$(attach -r image)
	assert_eq "$(geometry "$dev")" "$2" "geometry of $1 sectors"
	detach "$dev"
}
expect_geometry 1 "16 63 1 0"
expect_geometry 1007 "16 63 1 0"
expect_geometry 2016 "16 63 2 0"
expect_geometry $((1024 * 16 * 63)) "16 63 1024 0"
expect_geometry $((1024 * 16 * 63 + 1)) "255 63 64 0"
expect_geometry $((65535 * 255 * 63)) "255 63 65535 0"
expect_geometry $((65536 * 255 * 63)) "255 63 65535 0"
expect_geometry $((1 << 40)) "255 63 65535 0"

truncate -s 64M raw
sfdisk -q raw <<<$'2048,16M\n'
qemu-img convert -O qcow2 raw image
dev=$(attach -r image)
assert_eq "$(geometry "${dev}p1")" "16 63 130 2048" "geometry of a partition"
detach "$dev"
