#!/bin/bash
# A backing file may have its data in a file of its own, or be a block device.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o data_file=base.data base 2M
image_io qcow2 base "write -s noise1 300K 500K" "write -s text1 1M 200K"
qemu-img create -q -f qcow2 -b base -F qcow2 -o cluster_size=4K middle 3M
image_io qcow2 middle "write -s noise2 500K 100K" "write -z 1M 32K"
qemu-img create -q -f qcow2 -b middle -F qcow2 -o data_file=top.data,data_file_raw=off top 3M
image_io qcow2 top "write -s noise3 100K 50K" "write -s text3 2M 300K"
raw_of top
dev=$(attach -r top)
assert_attr "$dev" depth 3
assert_attr "$dev" data_file "$PWD/top.data"
assert_same_reads "$dev" top.raw
assert_fails 'lock' qemu-io -f raw -c 'write 0 512' base.data
detach "$dev"

dd if=top.raw of=/dev/ram1 bs=64K conv=fsync status=none
qemu-img create -q -f qcow2 -b /dev/ram1 -F raw over 4M
image_io qcow2 over "write -s noise4 3M 64K" "write -s text5 200K 1000"
raw_of over
assert_fails 'is not inside the directory' qcowctl attach -r over
dev=$(attach -r --allow-backing /dev over)
assert_attr "$dev" backing /dev/ram1
assert_same_reads "$dev" over.raw
detach "$dev"
