#!/bin/bash
# A device that is detached lazily under a mount works until it is unmounted,
# keeps its number, is shown as such, and goes then.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

truncate -s 16M disk
mkfs.ext4 -q disk
mkdir mnt
loop=$(losetup -f --show disk)
mount "$loop" mnt
cp "$(type -P bash)" mnt/file
umount mnt
losetup -d "$loop"
qemu-img convert -f raw -O qcow2 disk image
dev=$(attach -r image)
other=$(attach -r image)
mount -o ro "$dev" mnt

qcowctl detach --lazy "$dev" 2>said
grep -q 'goes away at its last close' said || fail "it said: $(cat said)"
assert_attr "$dev" lazy 1
assert_attr "$other" lazy 0
assert_eq "$(qcowctl list -n --raw -o NAME,LAZY)" "$dev 1"$'\n'"$other 0" list
echo 3 >/proc/sys/vm/drop_caches
cmp mnt/file "$(type -P bash)"
# more readers are welcome
cmp -n 1048576 "$dev" disk
qcowctl detach --lazy "$dev" 2>said
assert_status 6 qcowctl detach "$dev"
assert_status 6 qcowctl attach -r --device "${dev#/dev/}" image
[[ -b $dev ]] || fail "$dev has gone too early"
umount mnt
wait_for 10 test ! -e "$dev"
[[ ! -e /sys/block/${dev#/dev/} ]] || fail "$dev is still in sysfs"

# one that nobody has open goes at once
qcowctl detach --lazy "$other" 2>said
[[ ! -s said ]] || fail "it said: $(cat said)"
[[ ! -e $other ]] || fail "$other is still there"
# the number is free again
wait_for 10 qcowctl attach -r --device "${dev#/dev/}" image
detach "$dev"
