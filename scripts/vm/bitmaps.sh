# shellcheck shell=bash
# For the tests of images with persistent bitmaps; sourced after lib.sh.

# bitmaps IMAGE: name and flags of each
bitmaps() {
	qemu-img info -U --output=json "$1" | python3 -ES -c '
import json
import sys
data = json.load(sys.stdin)["format-specific"]["data"]
print(*sorted(b["name"] + "=" + "+".join(sorted(b["flags"])) for b in data.get("bitmaps", [])))'
}

# bitmap_dir IMAGE: where their directory is
bitmap_dir() {
	python - "$1" <<'PY'
import struct
import sys

with open(sys.argv[1], "rb") as f:
    header = f.read(65536)
at = struct.unpack_from(">I", header, 100)[0]
while struct.unpack_from(">I", header, at)[0] != 0x23852875:
    at += 8 + (struct.unpack_from(">I", header, at + 4)[0] + 7) // 8 * 8
print(struct.unpack_from(">Q", header, at + 8 + 16)[0])
PY
}
