#!/bin/bash
# detach of a busy device lists who uses it; --wait and --lazy do what they say.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

truncate -s 64M raw
sfdisk -q raw <<<$',32M\n'
qemu-img convert -O qcow2 raw image
loop=$(losetup -P -f --show raw)
wait_for 10 test -b "${loop}p1"
mkfs.ext4 -q "${loop}p1"
losetup -d "$loop"
qemu-img convert -O qcow2 raw image
dev=$(attach -r image)
mkdir mnt

mount -o ro "${dev}p1" mnt
assert_fails "${dev}p1: is mounted on $PWD/mnt" qcowctl detach "$dev"
assert_status 6 qcowctl detach "$dev"
assert_status 6 qcowctl detach image
assert_fails 'is a partition' qcowctl detach "${dev}p1"
umount mnt

dmsetup create stacked --table "0 2048 linear $dev 0" --readonly
assert_fails "$dev: is used by /dev/dm-" qcowctl detach "$dev"
dmsetup remove stacked

# what holds it in the kernel: a loop device, another image
loop=$(losetup -r -f --show "$dev")
assert_fails "$dev: is used by $loop" qcowctl detach "$dev"
losetup -d "$loop"
qemu-img create -q -f qcow2 -u -b "$dev" -F raw over 64M
upper=$(attach -r --allow-backing "$dev" over)
assert_fails "$dev: is used by $upper" qcowctl detach "$dev"
detach "$upper"

# a mount that only another namespace has
unshare -m bash -c "mount -o ro ${dev}p1 mnt && touch mounted && exec sleep 120" &
holder=$!
wait_for 20 test -e mounted
assert_fails "${dev}p1: is mounted on $PWD/mnt in the mount namespace of process $holder \(sleep\)" \
	qcowctl detach "$dev"
kill "$holder"
wait "$holder" || true

# a file system whose server does not answer, as a dead NFS: nobody looks at what is open there
mkdir dead
mount_silent dead
exec {fd}<"$dev"
assert_fails "$dev: is open in process $$ \(" timeout 20 qcowctl detach "$dev"
exec {fd}<&-
umount_silent dead

sleep 120 3<"$dev" &
holder=$!
wait_for 20 grep -q sleep "/proc/$holder/comm"
assert_fails "$dev: is open in process $holder \(sleep\)" qcowctl detach "$dev"
began=$SECONDS
assert_status 6 qcowctl detach --wait 1 "$dev"
[[ $SECONDS -gt $began ]] || fail "it did not wait"
(sleep 1; kill "$holder") &
detach --wait 30 "$dev"
[[ ! -e $dev ]] || fail "$dev is still there"

dev=$(attach -r image)
exec {fd}<"$dev"
qcowctl detach --lazy "$dev" 2>err
grep -q 'goes away at its last close' err
assert_eq "$(qcowctl list -n --raw -o LAZY)" 1 lazy
exec {fd}<&-
wait_for 10 test ! -e "$dev"
