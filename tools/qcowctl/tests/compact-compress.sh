#!/bin/bash
# Compressed in place: QEMU reads it, it is about as small as what qemu-img convert -c makes, packed as
# tightly, and what cannot be made smaller stays as it is.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
python3 -c '
import random, sys
r = random.Random(int(sys.argv[1]))
words = [r.randbytes(r.randrange(2, 60)) for _ in range(500)]
data = b"".join(r.choice(words) for _ in range(400000))
sys.stdout.buffer.write(data[: 6 << 20])' "$SEED" >words
head -c 1M /dev/urandom >noise
cat words noise >disk
truncate -s 8M disk

# packing IMAGE: how many clusters of the guest are compressed, how many bytes they have in the file as
# far as their entries say, and how many clusters of the file that is. Each count is what it is to be:
# qemu-img check has looked.
packing() {
	"$QCOWCTL" info --dump "$1" | python3 -c '
import re, sys
entries = []
for line in sys.stdin:
    if m := re.search(r" compressed host_offset (0x\w+) compressed_size (\d+)", line):
        entries.append((int(m[1], 16), int(m[2])))
cluster = int(sys.argv[1])
host = set()
for at, size in entries:
    host.update(range(at // cluster, (at + size - 1) // cluster + 1))
print(len(entries), len(host))' "$2"
}

kinds=(512:zlib 4096:zlib 4096:zstd 65536:zlib 65536:zstd 2097152:zstd 65536:zlib:compat=0.10
	16384:zlib:extended_l2=on 131072:zstd:extended_l2=on 4096:zlib:refcount_bits=2)
one_in 2 kinds
for kind in "${kinds[@]}"; do
	IFS=: read -r cluster type more <<<"$kind"
	what="seed $SEED: $kind"
	options=cluster_size=$cluster${more:+,$more}
	# made with zlib: the type changes where the image has nothing compressed
	qemu-img convert -f raw -O qcow2 -o "$options" disk image
	with=$options
	[[ $more == *compat* ]] || with+=,compression_type=$type
	qemu-img convert -c -f raw -O qcow2 -o "$with" disk want
	"$QCOWCTL" compact --compress "$type" image >out || die "$what"
	grep -q ' bytes given back: ' out
	qemu-img check -q image || die "$what: $(qemu-img check image 2>&1)"
	qemu-img compare -q -F raw image disk || die "$what: it reads otherwise"
	[[ $more == *compat* ]] || qemu-img info image | grep -q "compression type: $type"
	[[ $(stat -c %s image) -le $(($(stat -c %s want) * 11 / 10 + 2 * cluster)) ]] ||
		die "$what: $(stat -c %s image) bytes, by qemu-img $(stat -c %s want)"
	is_short image || die "$what: $(python3 "$here/space.py" image)"
	read -r entries host <<<"$(packing image "$cluster")"
	read -r _ want_host <<<"$(packing want "$cluster")"
	[[ $entries -gt 0 && $host -le $((want_host * 21 / 20 + 2)) ]] ||
		die "$what: $entries clusters in $host, by qemu-img in $want_host"
	# noise does not become smaller
	[[ $("$QCOWCTL" map --output json image | python3 -c '
import json, sys
print(sum(e["length"] for e in json.load(sys.stdin) if e["data"] and not e.get("compressed")))') -ge \
		$((900 << 10)) || $cluster -eq 2097152 ]] || die "$what: noise is compressed"
	cp image again
	"$QCOWCTL" compact -q --compress "$type" image
	cmp image again || die "$what: it changes again"
	# QEMU goes on
	io image qcow2 'read 0 8M' 'write -P 1 1M 100K' 'discard 3M 1M' 'write -P 2 7M 64K'
	qemu-img check -q image
	qemu-img convert -O raw image now
	"$QCOWCTL" compact -q --compress "$type" image
	qemu-img check -q image
	qemu-img compare -q -F raw image now || die "$what: it reads otherwise after QEMU"
done

# what is shared with a snapshot, and what has not all subclusters, stays as it is
create qcow2 -o cluster_size=64K,extended_l2=on image 4M
io image qcow2 'write -P 1 0 1M'
qemu-img snapshot -c one image
io image qcow2 'write -P 2 1M 512K' 'write -P 3 2M 2K' 'write -P 4 512K 128K'
before=$(contents image)
"$QCOWCTL" compact -q --compress zlib image
qemu-img check -q image
[[ $(contents image) == "$before" ]]
read -r entries host <<<"$(packing image 65536)"
[[ $entries -eq 10 && $host -eq 1 ]] || die "$entries clusters in $host"

# a limited rate, and progress
create qcow2 image 4M
io image qcow2 'write -P 1 0 4M'
began=$SECONDS
"$QCOWCTL" compact --rate 2M --progress json --compress zstd image >out
[[ $((SECONDS - began)) -ge 1 ]]
python3 -c '
import json
lines = [json.loads(line) for line in open("out")]
assert {"compressing"} <= {line["job"] for line in lines}, lines'
qemu-img check -q image
