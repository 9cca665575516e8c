#!/bin/bash
# Reading a compressed image in small steps reads each compressed cluster from
# below about once, not for every step.
# kernels: 6.12 6.1 debug
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
cat text{0..7} >text
truncate -s 1M text
qemu-img convert -c -f raw -O qcow2 -o cluster_size=64K text image
truncate -s 4M image
loop=$(losetup -f --show image)
dev=$(attach -r --no-partscan "$loop")
stat=/sys/block/${loop#/dev/}/stat

read -r _ _ before _ <"$stat"
dd if="$dev" of=got bs=4K iflag=direct status=none
read -r _ _ after _ <"$stat"
cmp got text
echo "$((after - before)) sectors for $(stat -c %b image) of the image"
[[ $((after - before)) -gt 0 ]] || fail "nothing was read from below"
# clusters share sectors, and each is read with the whole sectors around it
[[ $((after - before)) -le $(($(stat -c %b image) * 3 / 2)) ]] ||
	fail "it read $((after - before)) sectors of $(stat -c %b image)"
detach "$dev"
losetup -d "$loop"
