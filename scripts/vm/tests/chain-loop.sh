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

python - <<'PY'
import errno
import os

import qcowdev as q

a, again, b = os.open("a", os.O_RDONLY), os.open("hard", os.O_RDONLY), os.open("b", os.O_RDONLY)
q.refused("a file twice", errno.ELOOP, (a,), (again,), text="has this file already")
q.refused("one descriptor twice", errno.ELOOP, (a,), (b,), (a,), text="layer 2")
q.accepted("two files", (a,), (b,))
q.finish()
PY
