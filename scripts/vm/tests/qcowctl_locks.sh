#!/bin/bash
# QEMU does not write what is attached, and attach refuses what QEMU writes, unless only a look
# is wanted.
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
assert_fails 'try: .* --force-share' qcowctl attach -r image
assert_status 6 qcowctl attach -r image
# a look at it all the same, which keeps QEMU from nothing
dev=$(attach -r --force-share image 2>err)
grep -q 'warning: others may write to it' err || fail "no warning"
assert cmp -n 4096 -i 65536:0 "$dev" /dev/zero
echo 'write -P 7 64K 64K' >&"$fd"
wait_for 20 grep -q 'wrote 65536/65536' qemu.log
detach "$dev"
exec {fd}>&-
wait
detach "$(attach -r image)"

# the driver's own device is no virtual machine
dev=$(attach image)
assert_fails 'is in use by qcow0' qcowctl attach -r --force-share image
detach "$dev"
