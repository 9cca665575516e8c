#!/bin/bash
# As power-cut: an ext4 in an image has no errors and every file that was synced, and an
# image on ext4 has all that was promised, whatever the file system does below.
# kernels: none: it takes minutes, run it by name
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/powercut.sh"

cut_setup
cut_file_system cluster_size=4K
cut_file_system lazy_refcounts=on
cut_below qcow2 cluster_size=4K 4096
cut_below qcow - 0
cd ..
assert umount cut
