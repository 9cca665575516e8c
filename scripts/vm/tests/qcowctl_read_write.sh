#!/bin/bash
# A read-write attach is refused with a message that says what to do.
# kernels: 6.12 6.1 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 1M
sum=$(sha256sum <image)
assert_fails 'read-only' qcowctl attach image
assert_fails 'try: qcowctl attach -r' qcowctl attach image
assert_status 5 qcowctl attach image
assert_eq "$(sha256sum <image)" "$sum" "image"
assert_eq "$(qcowctl list)" '' list
