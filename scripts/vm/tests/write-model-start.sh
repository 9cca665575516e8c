#!/bin/bash
# As write-model, on images that begin with compressed and preallocated clusters, with an
# internal snapshot, which stays what it was, and with an external data file.
# kernels: 6.12
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

cases=(
	"qcow - 4K compressed"
	"qcow2 compat=0.10 4K compressed"
	"qcow2 compression_type=zstd 64K compressed"
	"qcow2 refcount_bits=1 512 compressed"
	"qcow2 extended_l2=on 16K compressed"
	"qcow2 preallocation=metadata 64K empty"
	"qcow2 preallocation=metadata 512 mixed"
	"qcow2 compat=0.10 4K snapshot"
	"qcow2 refcount_bits=2 64K snapshot"
	"qcow2 extended_l2=on 32K snapshot"
	"qcow2 data_file_raw=on 4K mixed"
	"qcow2 data_file_raw=off,refcount_bits=64 64K mixed"
	"qcow2 extended_l2=on,data_file_raw=off 64K empty"
)
model_cases 1
