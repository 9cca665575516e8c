#!/bin/bash
# Where udev runs, attach returns when it has dealt with the disk and its partitions.
# kernels: 6.12 6.1
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

udevd=/lib/systemd/systemd-udevd
[[ -x $udevd ]] || fail "there is no $udevd"
"$udevd" --daemon
daemon=$(pidof systemd-udevd)
# libdm, for one, takes the name of the socket for a daemon
trap 'kill "$daemon" 2>/dev/null || :; rm -rf /run/udev' EXIT
wait_for 20 test -e /run/udev/control
udevadm settle --timeout=30

truncate -s 64M raw
sfdisk -q raw <<<$',16M\n,16M\n'
qemu-img convert -O qcow2 raw image
for _ in 1 2 3; do
	dev=$(attach -r image)
	for node in "$dev" "${dev}p1" "${dev}p2"; do
		udevadm info --query=property "$node" | grep -q '^USEC_INITIALIZED=' ||
			fail "udev has not seen $node"
	done
	udevadm settle --timeout=30
	detach --wait 10 "$dev"
done

# a daemon that is gone is not waited for
kill "$daemon"
wait_for 20 test ! -e "/proc/$daemon"
dev=$(attach -r image 2>err)
[[ ! -s err ]] || fail "it said: $(cat err)"
detach "$dev"
