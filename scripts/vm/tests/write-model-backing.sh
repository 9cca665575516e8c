#!/bin/bash
# As write-model, on overlays of raw and QCOW backing files that are shorter than they are;
# no byte of the backing file changes.
# kernels: 6.12
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

cases=(
	"qcow - 512 on-raw"
	"qcow - 512 on-qcow2"
	"qcow2 compat=0.10 512 on-qcow2"
	"qcow2 compat=0.10 64K on-raw"
	"qcow2 - 4K on-raw"
	"qcow2 - 64K on-qcow2"
	"qcow2 - 2M on-qcow2"
	"qcow2 extended_l2=on 16K on-raw"
	"qcow2 extended_l2=on 128K on-qcow2"
)
random_seed
noise_files
one_in 3 cases
each case_make
echo "made in $SECONDS s"
keep ./*.base
each case_run 1
assert_unchanged
