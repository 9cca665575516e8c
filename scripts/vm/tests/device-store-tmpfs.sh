#!/bin/bash
# An image on tmpfs, which has no direct I/O, is read through the page cache,
# and that is said.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
mkdir mnt
mount -t tmpfs -o size=64M tmpfs mnt
qemu-img create -q -f qcow2 mnt/image 4M
random_writes 4194304 65536 noise text pattern zero compressed
image_io qcow2 mnt/image "${WRITES[@]}"
raw_of mnt/image

dev=$(attach -r mnt/image 2>said)
assert_match "$(cat said)" 'no direct I/O on the file system of image, using the page cache'
assert_attr "$dev" direct_io 0
assert_attr "$dev" store file
assert_same_reads "$dev" mnt/image.raw
detach "$dev"

dev=$(attach -r --direct-io off mnt/image 2>said)
[[ ! -s said ]] || fail "it said: $(cat said)"
assert_attr "$dev" direct_io 0
assert_same_reads "$dev" mnt/image.raw
detach "$dev"

assert_refused 5 'direct I/O is not possible' qcowctl attach -r --direct-io on mnt/image
assert umount mnt
