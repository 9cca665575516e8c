#!/bin/bash
# As power-cut: versions 1 and 2, wide refcounts, and with a backing file.
# kernels: none: it takes minutes, run it by name
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/powercut.sh"

cut_setup
cut_image qcow2 compat=0.10,cluster_size=4K 4096
cut_image qcow2 cluster_size=4K,refcount_bits=64 4096 base.raw
cut_image qcow2 compat=0.10,cluster_size=1K 0 base.raw
cut_image qcow - 0
cd ..
assert umount cut
