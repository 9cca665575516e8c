#!/bin/bash
# An image on a block device has no directory of its own: what is beside its node is not its to
# name, and is not even opened. A device is opened where the user named it, a data file of
# another owner written to where the user allowed it.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

refused() {
	local regex=$1
	shift
	assert_refused 7 "$regex" qcowctl "$@"
}

fill raw 4M
dd if=raw of=/dev/ram1 bs=1M conv=fsync status=none

# another disk of the host, as backing file
qemu-img create -q -f qcow2 -u -b ram1 -F raw image 4M
truncate -s 8M image
loop=$(losetup -f --show image)
refused 'a block device has no directory of its own' attach -r "$loop"
refused 'try: --allow-backing /dev/ram1,' info --backing-chain "$loop"
refused 'no directory' map "$loop"
for allowed in /dev/ram1 /dev; do
	dev=$(attach -r --allow-backing "$allowed" "$loop")
	assert cmp -n 4M "$dev" /dev/ram1
	detach "$dev"
done
losetup -d "$loop"

# a device from a directory: a node in it, and a link
mknod node b 1 1
for name in node link; do
	ln -sf /dev/ram1 link
	qemu-img create -q -f qcow2 -u -b "$name" -F raw over 4M
	refused "backing file '$name'" attach -r over
	dev=$(attach -r --allow-backing /dev/ram1 over)
	detach "$dev"
done
qemu-img create -q -f qcow2 -u -b node -F raw over 4M
refused 'is a block device, which an image cannot name by itself' attach over

# as data file, which would be written to
truncate -s 4M ram1
qemu-img create -q -f qcow2 -o data_file=ram1,data_file_raw=on image 4M
rm ram1
truncate -s 8M image
loop=$(losetup -f --show image)
refused 'data file .ram1.: an image on a block device' attach "$loop"
refused 'data file .ram1.: an image on a block device' attach -r "$loop"
assert cmp -n 4M raw /dev/ram1
dev=$(attach --allow-backing /dev/ram1 "$loop")
dd if=/dev/zero of="$dev" bs=4K count=1 oflag=direct status=none
detach "$dev"
assert_fails 'differ: byte 1,' cmp -n 4K raw /dev/ram1
assert cmp -i 64K -n 3M raw /dev/ram1
losetup -d "$loop"

# a file of another owner
qemu-img create -q -f qcow2 -o data_file=data image 4M
chown 1000 data
detach "$(attach -r image)"
refused 'data file .data. belongs to user 1000, the image to user 0' attach image
detach "$(attach --allow-backing . image)"
detach "$(attach --allow-backing data image)"
chown 1000 image
detach "$(attach image)"

# what is no disk: the name may lead there, but it is not opened
qemu-img create -q -f qcow2 -u -b zero -F raw image 4M
truncate -s 8M image
loop=$(losetup -f --show image)
refused 'a block device has no directory' info --backing-chain "$loop"
refused 'is a character device' info --backing-chain --allow-backing /dev "$loop"
refused 'is a character device' attach -r /dev/zero
losetup -d "$loop"
