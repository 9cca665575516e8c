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

# qemu_ranges IMAGE BITMAP: what QEMU says has changed, `START LENGTH` each
qemu_ranges() {
	local server
	qemu-nbd -r -t -k "$PWD/nbd" -f qcow2 -B "$2" "$1" &
	server=$!
	until [[ -S nbd ]]; do
		kill -0 "$server" || fail "qemu-nbd $*"
		sleep 0.2
	done
	qemu-img map --output=json --image-opts \
		"driver=nbd,server.type=unix,server.path=$PWD/nbd,x-dirty-bitmap=qemu:dirty-bitmap:$2" |
		python3 -ES -c '
import json
import sys
for e in json.load(sys.stdin):
    if not e["data"]:
        print(e["start"], e["length"])'
	kill "$server"
	wait "$server" || true
	rm -f nbd
}

# ranges IMAGE|DEVICE BITMAP: the same, as qcowctl says
ranges() {
	qcowctl map --bitmap "$2" --output json "$1" | python3 -ES -c '
import json
import sys
for e in json.load(sys.stdin):
    print(e["start"], e["length"])'
}

# same_ranges IMAGE BITMAP: QEMU reads the same from a detached image
same_ranges() { assert_eq "$(ranges "$@")" "$(qemu_ranges "$@")" "ranges of $*"; }

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
