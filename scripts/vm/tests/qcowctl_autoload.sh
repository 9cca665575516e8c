#!/bin/bash
# qcowctl attach loads the module.
# kernels: 6.12 6.1
# timeout: 60
# module: no
. "$QCOW_ROOT/scripts/vm/lib.sh"

[[ ! -d /sys/module/qcow ]] || fail "it is loaded already"
qemu-img create -q -f qcow2 image 1M
dev=$(attach -r image)
[[ -d /sys/module/qcow ]] || fail "it is not loaded"
detach "$dev"
