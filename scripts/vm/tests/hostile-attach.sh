#!/bin/bash
# What an image may make an attach long, or large: it ends when the process is killed, and has a
# bound. Very many snapshots with one sparse L1 table, L2 tables everywhere, a chain of long L1
# tables.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

python3 -S - <<'PY'
import struct

CLUSTER = 512


def header(name, size, l1_entries, l1, snapshots=(0, 0), end=0):
    """An image of small clusters: header, refcount table and block, the rest is sparse."""
    with open(name, "wb") as f:
        f.write(struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 9, size, 0, l1_entries,
                            l1, CLUSTER, 1, *snapshots, 0, 0, 0, 4, 104))
        f.seek(CLUSTER)
        f.write(struct.pack(">Q", 2 * CLUSTER))
        f.seek(2 * CLUSTER)
        f.write(b"\0\1" * 256)
        f.truncate(end)


def snapshots(name, count, l1_bytes):
    entry = struct.pack(">QIHHIIQII", 0, l1_bytes // 8, 1, 1, 0, 0, 0, 0, 24)
    entry += struct.pack(">QQQ", 0, 32768, 0) + b"12"
    entry = bytearray(entry.ljust(-(-len(entry) // 8) * 8, b"\0"))
    table = 4 * CLUSTER
    l1 = -(-(table + count * len(entry)) // 65536) * 65536
    header(name, 32768, 1, 3 * CLUSTER, (count, table), l1 + l1_bytes)
    entry[:8] = struct.pack(">Q", l1)
    with open(name, "r+b") as f:
        f.seek(table)
        f.write(entry * count)


# 2 TiB, and 4 GiB, of L1 tables
snapshots("bomb", 65536, 32 << 20)
snapshots("most", 128, 32 << 20)
snapshots("more", 129, 32 << 20)
# an L1 table of 32 MiB for 128 GiB
header("long", 4194304 * 32768, 4194304, 4 * CLUSTER, end=4 * CLUSTER + (32 << 20))
PY

# limited SECONDS COMMAND...: does not take as long
limited() {
	local begin=$SECONDS most=$1
	shift
	"$@"
	[[ $((SECONDS - begin)) -le $most ]] || fail "$((SECONDS - begin)) s: $*"
}

for image in bomb more; do
	limited 5 assert_fails 'L1 tables of snapshots have [0-9]+ bytes with that of snapshot table entry 128, at most 4294967296' \
		qcowctl attach "$image"
done
dev=$(limited 10 attach most)
detach "$dev"
# to read nothing of it is looked at
dev=$(limited 5 attach -r bomb)
detach "$dev"

# a chain of these: as many as there is room for, as layers of their own
for n in {1..17}; do
	cp --sparse=always long "long$n"
done
python - <<'PY'
import os

import qcowdev

fds = [os.open(f"long{n}", os.O_RDONLY) for n in range(1, 18)]
qcowdev.accepted("16 layers of 32 MiB of L1 table", *((fd,) for fd in fds[:16]))
qcowdev.refused("17 layers", 27, *((fd,) for fd in fds),
                text="L1 tables of this layer and those below have 570425344 bytes, at most 536870912")
qcowdev.finish()
PY
rm long?*

# the memory is the attaching process' own
echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
group=/sys/fs/cgroup/small
mkdir "$group"
trap 'rmdir "$group"' EXIT
charged() {
	local before
	before=$(awk '$1 == "kernel" { print $2 }' "$group/memory.stat")
	dev=$(echo "$BASHPID" >"$group/cgroup.procs" && attach -r long)
	echo $(($(awk '$1 == "kernel" { print $2 }' "$group/memory.stat") - before)) >charged
}
charged
detach "$dev"
[[ $(<charged) -ge $((32 << 20)) ]] || fail "$(<charged) bytes of kernel memory were charged"

# as many L2 tables as there can be, no two together: the attach is killed
python3 -S - <<'PY'
import struct

with open("long", "r+b") as f:
    f.seek(4 * 512)
    for first in range(0, 4194304, 65536):
        entries = (1 << 63 | n + 4096 << 14 for n in range(first, first + 65536))
        f.write(struct.pack(">65536Q", *entries))
    f.truncate(4194304 + 8192 << 14)
PY
limited 3 assert_status 137 timeout -s KILL 1 qcowctl attach long
[[ ! -e /dev/qcow0 ]] || fail "it is attached"
