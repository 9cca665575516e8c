#!/bin/bash
# An image on ext4 or xfs is read with direct I/O unless that is not wanted.
# kernels: 6.12 6.1 debug
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 image 4M
random_writes 4194304 65536 noise text pattern zero compressed
image_io qcow2 image "${WRITES[@]}"
raw_of image
mkdir mnt
modprobe xfs
mkfs.xfs -q -f /dev/ram1
mount /dev/ram1 mnt
cp image mnt/image

for image in image mnt/image; do
	for mode in auto on off; do
		dev=$(attach -r --direct-io "$mode" "$image" 2>said)
		[[ ! -s said ]] || fail "$image, $mode: it said: $(cat said)"
		assert_attr "$dev" store file
		assert_attr "$dev" direct_io "$([[ $mode == off ]] && echo 0 || echo 1)"
		assert_same_reads -n 30 "$dev" image.raw
		detach "$dev"
	done
done
assert_refused 1 "'maybe' is none of auto, on, off" qcowctl attach -r --direct-io maybe image
assert umount mnt
