#!/bin/bash
# Reading a compressed image in small steps reads each compressed cluster from
# below about once, not for every step; and some ahead of who goes forward.
# kernels: 6.12 debug
# cpus: 2
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

# Who goes on into the next cluster finds the four after it decompressed, who jumps does not.
dev=$(attach -r --no-partscan "$loop")
inflated() { [[ $(attr "$dev" inflated_bytes) -eq $(($1 << 16)) ]]; }
read_at() { dd if="$dev" of=/dev/null bs=4K skip="$1" count="$2" iflag=direct status=none; }
read_at $((10 * 16)) 16
read_at $((3 * 16)) 1
sleep 0.5
inflated 2 || fail "$(attr "$dev" inflated_bytes) bytes without a reader who goes forward"
read_at $((4 * 16 - 1)) 2
wait_for 10 inflated 7
sleep 0.2
inflated 7 || fail "$(attr "$dev" inflated_bytes) bytes ahead of a reader"
detach "$dev"
losetup -d "$loop"
