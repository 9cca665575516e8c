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
assert_fails "${dev}p1: is mounted on $PWD/mnt.*try: umount $PWD/mnt" qcowctl detach "$dev"
assert_status 6 qcowctl detach "$dev"
assert_status 6 qcowctl detach image
assert_fails 'is a partition' qcowctl detach "${dev}p1"
umount mnt

# what is stacked on it, and what that is used by: the commands can be run as they are said
dmsetup create one --table "0 65536 linear ${dev}p1 0" --readonly
dmsetup mknodes one
dmsetup create two --uuid CRYPT-none --table "0 65536 linear /dev/mapper/one 0" --readonly
dmsetup mknodes two
mount -o ro /dev/mapper/two mnt
sleep 120 3</dev/mapper/two &
holder=$!
wait_for 20 grep -q sleep "/proc/$holder/comm"
assert_refused 6 "/dev/mapper/two: is mounted on $PWD/mnt.*/dev/mapper/two: is open in process $holder \\(sleep\\)" \
	qcowctl detach "$dev"
qcowctl detach "$dev" 2>said || :
grep -q "/dev/mapper/one: is used by /dev/mapper/two" said
grep -q "${dev}p1: is used by /dev/mapper/one" said
assert_eq "$(sed -n 's/^qcowctl: try: //p' said | paste -sd';')" \
	"umount $PWD/mnt;kill $holder;cryptsetup close /dev/mapper/two;dmsetup remove /dev/mapper/one;--wait SEC, or --lazy"
umount mnt
kill "$holder"
wait "$holder" || true
dmsetup remove two
dmsetup remove /dev/mapper/one

# what holds it in the kernel: a loop device, another image
loop=$(losetup -r -f --show "$dev")
assert_fails "$dev: is used by $loop.*try: losetup --detach $loop" qcowctl detach "$dev"
losetup -d "$loop"
qemu-img create -q -f qcow2 -u -b "$dev" -F raw over 64M
upper=$(attach -r --allow-backing "$dev" over)
assert_fails "$dev: is used by $upper.*try: qcowctl detach $upper" qcowctl detach "$dev"
detach "$upper"

# a mount that only another namespace has
unshare -m bash -c "mount -o ro ${dev}p1 mnt && touch mounted && exec sleep 120" &
holder=$!
wait_for 20 test -e mounted
assert_fails "${dev}p1: is mounted on $PWD/mnt in the mount namespace of process $holder \(sleep\).*umount --namespace $holder $PWD/mnt" \
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
# an image that is attached already names the device
assert_refused 6 "image: is attached as $dev.*try: qcowctl detach $dev" qcowctl attach image
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

qcowctl create -q swap 16M
dev=$(attach swap)
mkswap "$dev" >/dev/null
swapon "$dev"
assert_fails "$dev: is used as swap.*try: swapoff $dev" qcowctl detach "$dev"
swapoff "$dev"
qemu-img create -q -f qcow2 -u -b swap -F qcow2 over 16M
assert_refused 6 "swap: is attached as $dev" qcowctl attach over
detach "$dev"
