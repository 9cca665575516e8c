#!/bin/bash
# The module stays while anything is attached or the control node is open, and
# goes afterwards; qcowctl brings it back.
# kernels: 6.12 6.1
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 1M
one=$(attach -r image)
two=$(attach -r image)
assert_fails 'qcow is in use' modprobe -r qcow
detach "$one"
assert_fails 'qcow is in use' modprobe -r qcow
detach "$two"
exec {fd}</dev/qcow-control
assert_fails 'qcow is in use' modprobe -r qcow
exec {fd}<&-
assert modprobe -r qcow
[[ ! -e /dev/qcow-control ]] || fail "the control node is still there"

# without the module there is nothing to list or detach
assert_eq "$(qcowctl list)" '' list
assert_status 8 qcowctl detach qcow0
[[ ! -d /sys/module/qcow ]] || fail "detach loads the module"

# lazily detached: from the last close on
dev=$(attach -r image)
exec {fd}<"$dev"
qcowctl detach --lazy "$dev"
assert_fails 'qcow is in use' modprobe -r qcow
exec {fd}<&-
wait_for 10 test ! -e "$dev"
wait_for 10 modprobe -r qcow
