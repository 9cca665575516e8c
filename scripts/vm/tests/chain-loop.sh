#!/bin/bash
# A backing chain that comes back to a file it has already is refused by qcowctl
# and, whoever asks, by the driver.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 self 1M
qemu-img rebase -u -b self -F qcow2 self
assert_refused 4 'self: its backing file .self. is already in the chain' qcowctl attach -r self

qemu-img create -q -f qcow2 a 1M
qemu-img create -q -f qcow2 -u -b a -F qcow2 b 1M
qemu-img create -q -f qcow2 -u -b b -F qcow2 c 1M
qemu-img rebase -u -b c -F qcow2 a
for image in a b c; do
	assert_refused 4 'a loop' qcowctl attach -r "$image"
done
ln a hard
qemu-img rebase -u -b hard -F qcow2 a
assert_status 4 qcowctl attach -r a

# two nodes of one disk
qemu-img create -q -f qcow2 image 8M
dd if=image of=/dev/ram1 bs=64K conv=fsync status=none
mknod node b 1 1
qemu-img create -q -f qcow2 -u -b "$PWD/node" -F raw image 8M
truncate -s 8M image
dd if=image of=/dev/ram1 bs=64K conv=fsync status=none
assert_refused 4 'a loop' qcowctl attach -r --allow-backing node /dev/ram1

qemu-img create -q -f qcow2 -o data_file=data over 1M
qemu-img create -q -f qcow2 -o data_file=data2 under 1M
qemu-img rebase -u -b data -F raw over
assert_refused 4 'already in the chain, as data: a loop' qcowctl attach over

python - <<'PY'
import errno
import os

import qcowdev as q

a, again, b = os.open("a", os.O_RDONLY), os.open("hard", os.O_RDONLY), os.open("b", os.O_RDONLY)
q.refused("a file twice", errno.ELOOP, (a,), (again,), text="has this file already")
q.refused("one descriptor twice", errno.ELOOP, (a,), (b,), (a,), text="layer 2")
q.accepted("two files", (a,), (b,))
over, under = os.open("over", os.O_RDONLY), os.open("under", os.O_RDONLY)
data, data2 = os.open("data", os.O_RDONLY), os.open("data2", os.O_RDONLY)
raw = q.RAW
q.accepted("two data files", (over, data), (under, data2))
q.refused("a data file twice", errno.ELOOP, (over, data), (under, data), text="layer 1")
q.refused("a data file below", errno.ELOOP, (over, data), (data, -1, raw), text="layer 1")
q.refused("an image as data below", errno.ELOOP, (over, data), (under, over), text="layer 1")
q.refused("an image that is its data", errno.ELOOP, (over, over), text="has this file already")
ram, node = os.open("/dev/ram1", os.O_RDONLY), os.open("node", os.O_RDONLY)
q.refused("two nodes", errno.ELOOP, (ram,), (node, -1, raw), text="has this file already")
q.finish()
PY
