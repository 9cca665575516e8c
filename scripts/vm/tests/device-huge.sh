#!/bin/bash
# An image of 64 TiB attaches at once and can be read at both of its ends.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

size=$((64 << 40))
qemu-img create -q -f qcow2 image "$size"
image_io qcow2 image "write -P 17 0 64K" "write -P 34 $((size / 2 - 4096)) 8K" \
	"write -P 51 $((size - 512)) 512"
best=60000
for _ in 1 2 3; do
	began=${EPOCHREALTIME/./}
	dev=$(qcowctl attach -r image)
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	[[ $took -ge $best ]] || best=$took
	[[ $dev == /dev/qcow0 ]] || fail "no device"
	detach "$dev"
done
echo "attached in $best ms"
[[ $best -lt 1000 ]] || fail "it took $best ms"

dev=$(attach -r image)
assert_eq "$(blockdev --getsize64 "$dev")" "$size" size
python - "$dev" "$size" <<'PY'
import os
import sys

size = int(sys.argv[2])
fd = os.open(sys.argv[1], os.O_RDONLY)
for at, want in ((0, b"\x11" * 65536 + bytes(4096)),
                 (size // 2 - 8192, bytes(4096) + b"\x22" * 8192 + bytes(4096)),
                 (size // 4, bytes(65536)),
                 (size - 65536, bytes(65024) + b"\x33" * 512)):
    got = os.pread(fd, len(want), at)
    assert got == want, f"at {at}: {len(got)} bytes"
assert os.pread(fd, 4096, size) == b"", "bytes behind the end"
PY
detach "$dev"
