#!/bin/bash
# As power-cut: version 2, wide refcounts, and with a backing file. (Version 1 cannot be
# written to on a block device; see power-cut-fs.)
# kernels: 6.12 debug
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/powercut.sh"

cut_setup
cut_image qcow2 compat=0.10,cluster_size=4K 4096
cut_image qcow2 cluster_size=4K,refcount_bits=64 4096 base.raw
cut_image qcow2 compat=0.10,cluster_size=1K 0 base.raw
cd ..
assert umount cut
