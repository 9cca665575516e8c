#!/bin/bash
# QEMU does not write what is attached, and attach refuses what QEMU writes.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f raw base.raw 1M
qemu-img create -q -f qcow2 -b base.raw -F raw image
dev=$(attach -r image)
assert_fails 'lock' qemu-io -f qcow2 -c 'write 0 512' image
assert_fails 'lock' qemu-io -f raw -c 'write 0 512' base.raw
assert qemu-io -r -f qcow2 -c 'read 0 512' image
assert qemu-img info image
second=$(attach -r image)
detach "$second"
detach "$dev"
# the locks went with the device
assert qemu-io -f qcow2 -c 'write 0 512' image

mkfifo feed
qemu-io -f qcow2 image <feed >qemu.log 2>&1 &
exec {fd}>feed
echo 'read 0 512' >&"$fd"
wait_for 20 grep -q 'read 512/512' qemu.log
assert_fails 'is in use: another process' qcowctl attach -r image
assert_status 6 qcowctl attach -r image
exec {fd}>&-
wait
detach "$(attach -r image)"
