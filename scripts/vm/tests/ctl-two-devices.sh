#!/bin/bash
# One image is attached as two devices that know nothing of each other, and
# attached images hold the locks until the last of them has gone.
# kernels: 6.12
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 base 4M
image_io qcow2 base "write -s noise1 0 1M" "write -c -s text2 2M 64K" "write -c -s text3 3M 64K"
qemu-img create -q -f qcow2 -b base -F qcow2 image 4M
image_io qcow2 image "write -s noise4 512K 1M"
raw_of image

one=$(attach -r image)
two=$(attach -r --cache-size 64K --direct-io off image)
assert_same_reads -n 300 "$one" image.raw &
reader=$!
SEED=$((SEED + 1)) assert_same_reads -n 100 "$two" image.raw "$two" image.raw
wait "$reader" || fail "the first reader failed"
for file in image base; do
	assert_fails 'lock' qemu-io -f qcow2 -c 'write 0 512' "$file"
done
detach "$one"
assert_same_reads "$two" image.raw
for file in image base; do
	assert_fails 'lock' qemu-io -f qcow2 -c 'write 0 512' "$file"
done
# the base alone, too
three=$(attach -r base)
detach "$two"
assert_fails 'lock' qemu-io -f qcow2 -c 'write 0 512' base
assert qemu-io -f qcow2 -c 'write 0 512' image >/dev/null
detach "$three"
# a refused attach leaves no lock
assert_fails . qcowctl attach --snapshot nosuch image
assert_status 1 qcowctl attach -r --direct-io no image
assert qemu-io -f qcow2 -c 'write 0 512' base >/dev/null
