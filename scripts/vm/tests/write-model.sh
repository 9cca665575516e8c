#!/bin/bash
# Random operations of several processes on a device give what they give on a raw file,
# whatever the version, cluster size and refcount width; QEMU reads the same afterwards and
# finds nothing wrong and nothing leaked.
# kernels: 6.12 7.3
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

cases=(
	"qcow - 4K empty"
	"qcow2 compat=0.10 512 mixed"
	"qcow2 compat=0.10 4K empty"
	"qcow2 compat=0.10 64K mixed"
	"qcow2 compat=0.10 2M empty"
	"qcow2 refcount_bits=1 512 empty"
	"qcow2 refcount_bits=64 4K mixed"
	"qcow2 refcount_bits=1 64K mixed"
	"qcow2 refcount_bits=16 64K empty"
	"qcow2 refcount_bits=64 2M mixed"
	"qcow2 lazy_refcounts=on 64K empty"
	"qcow2 extended_l2=on 16K mixed"
	"qcow2 extended_l2=on,refcount_bits=64 64K empty"
	"qcow2 extended_l2=on,refcount_bits=1 2M empty"
)
model_cases 1
