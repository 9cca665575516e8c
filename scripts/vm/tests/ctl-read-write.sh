#!/bin/bash
# Without -r a device can be written to, and QEMU refuses the image meanwhile; attach
# refuses one that QEMU has. With -r, and for one who may only read it, nothing is written.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 1M
dev=$(attach image)
assert_eq "$(blockdev --getro "$dev")" 0 "read-only flag"
printf 'qcow' | dd of="$dev" conv=fsync status=none
assert_fails 'lock' qemu-io -f qcow2 -c 'write 0 512' image
assert_fails 'lock' qemu-io -f qcow2 -r -c 'read 0 512' image
assert_fails 'is in use' qcowctl attach image
assert_fails 'is in use' qcowctl attach -r image
detach "$dev"
assert_eq "$(qemu-img dd -O raw if=image of=out bs=4 count=1 && cat out)" qcow content

sum=$(sha256sum <image)
dev=$(attach -r image)
assert_eq "$(blockdev --getro "$dev")" 1 "read-only flag"
assert_fails . dd if=/dev/zero of="$dev" bs=4K count=1 conv=fsync status=none
assert_fails 'is in use' qcowctl attach image
detach "$dev"
# one that is attached and not written to is as it was
dev=$(attach image)
assert_eq "$(dd if="$dev" bs=4 count=1 status=none)" qcow content
detach "$dev"
assert_eq "$(sha256sum <image)" "$sum" image

# QEMU has it
coproc qemu-io -f qcow2 image
sleep 2
assert_fails 'is in use' qcowctl attach image
assert_fails 'is in use' qcowctl attach -r image
echo quit >&"${COPROC[1]}"
wait "$COPROC_PID" || true
