#!/bin/bash
# Of an image whose file ends early, check -r all makes one that is whole again: what was lost reads
# as zeros, as it does before, and qemu-img finds no fault.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory

# raw FORMAT IMAGE RESULT: the guest's bytes, as QEMU reads them
raw() { qemu-img convert -f "$1" -O raw "$2" "$3" 2>/dev/null; }

# repaired FORMAT LENGTH: of image
repaired() {
	head -c "$2" image >part
	cp part before
	raw "$1" part want || die "$2: QEMU does not read it"
	# space between what is left of version 1 may be leaked
	if [[ $1 == qcow ]]; then
		"$QCOWCTL" check -r all part >out 2>err || [[ $? -eq 3 ]] || die "$2: $(cat err)"
	else
		ends 0 check -r all part
		ends 0 check part
	fi
	[[ $1 == qcow ]] || qemu-img check -q part || die "$1 of $2 bytes: qemu-img is not content"
	# nor where the file grows
	truncate -s "$bytes" part
	[[ $1 == qcow ]] || qemu-img check -q part || die "$1 of $2 bytes: counts beyond the end"
	raw "$1" part got
	cmp want got || die "$1 of $2 bytes: other content"
	# no table of the header ends beyond it
	"$QCOWCTL" map part >out 2>err
	[[ ! -s err ]] || die "$1 of $2 bytes: $(cat err)"
}

for options in cluster_size=4K compat=0.10,cluster_size=512 cluster_size=64K,extended_l2=on; do
	rm -f image
	create qcow2 -o "$options" image 8M
	io image qcow2 'write -P 7 0 6M'
	bytes=$(stat -c %s image)
	for length in 512 4096 8192 12288 12300 16384 17000 20480 66000 196700 262144 300000 \
		$((bytes / 2)) $((bytes - 3)); do
		repaired qcow2 "$length"
	done
done
rm image
create qcow image 8M
io image qcow 'write -P 7 0 6M'
for length in 52 1000 5000 100000; do
	repaired qcow "$length"
done

# a snapshot whose entry is lost is gone, and its space with it
create qcow2 -o cluster_size=4K kept 1M
io kept qcow2 'write -P 1 0 64K'
for name in one two; do
	qemu-img snapshot -c "$name" kept
	io kept qcow2 'write -P 2 0 64K'
done
offset=$(python3 -c 'import struct; print(struct.unpack(">Q", open("kept", "rb").read(72)[64:])[0])')
head -c $((offset + 60)) kept >part
ends 0 check -r all part
ends 0 check part
"$QCOWCTL" info part | grep -c 'VM state' | grep -qx 1 || die "not one snapshot"

# what is too far away to be the rest of the file stays as it is
create qcow2 far 8M
io far qcow2 'write 0 64K'
l1=$(python3 -c 'import struct; print(struct.unpack(">Q", open("far", "rb").read(48)[40:])[0])')
poke far "$l1" 8000ffff00000000
bytes=$(stat -c %s far)
ends 2 check -r all far
[[ $(stat -c %s far) -le $((bytes + 65536)) ]] || die "a file of $(stat -c %s far) bytes"
