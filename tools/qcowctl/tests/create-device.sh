#!/bin/bash
# A block device is written in place: old content does not show, and too small is too small.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

dirty() {
	head -c 8M /dev/urandom | dd of="$1" bs=1M iflag=fullblock conv=notrunc status=none
}
dirty disk
loop=$(losetup -f --show disk) || die "needs root and a loop device"
trap 'losetup -d "$loop"' EXIT
ln -s "$loop" link
for options in compat=0.10 compat=1.1 cluster_size=512 preallocation=metadata \
	preallocation=falloc preallocation=full,cluster_size=4K; do
	dirty "$loop"
	"$QCOWCTL" create -o "$options" link 7M
	[[ -L link && -b $loop ]]
	qemu-img check -q -f qcow2 "$loop"
	io "$loop" qcow2 'read -P 0 0 7M' 'write -P 3 1M 64K' 'read -P 3 1M 64K'
done
dirty "$loop"
"$QCOWCTL" create -f qcow "$loop" 7M
refuse "$POLICY" 'has a QCOW image, and is not replaced' "$loop" 7M
qemu-io -r -f qcow -c 'read -P 0 0 7M' "$loop" >/dev/null
"$QCOWCTL" create --force "$loop" 1T
qemu-img check -q -f qcow2 "$loop"
expect 2 'the device has 8388608 bytes, [0-9]+ are needed' \
	create --force -o preallocation=metadata "$loop" 8M
# it failed before it wrote
qemu-img check -q -f qcow2 "$loop"
mkfs.ext2 -q "$loop"
mkdir mnt
mount "$loop" mnt
status=0
"$QCOWCTL" create --force "$loop" 1M 2>err || status=$?
umount mnt
[[ $status -eq $BUSY ]] || die "status $status: $(cat err)"
# as a raw data file it keeps what it has
dirty "$loop"
"$QCOWCTL" create --force -o "data_file=$loop,data_file_raw=on" image 8M
qemu-img compare -q -f qcow2 -F raw image disk
