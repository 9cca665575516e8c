#!/bin/bash
# Random operations of several processes on a device whose image is encrypted give what they give
# on a raw file; QEMU reads the same afterwards with the same key, and what it had written before is
# read.
# kernels: 6.12 debug
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

cases=(
	"qcow aes 4K mixed"
	"qcow aes 4K on-raw"
	"qcow2 aes,compat=0.10 64K snapshot"
	"qcow2 aes 512 mixed"
	"qcow2 luks,compat=0.10 4K mixed"
	"qcow2 luks 512 mixed"
	"qcow2 luks,extended_l2=on 16K on-qcow2"
	"qcow2 luks 64K snapshot"
	"qcow2 luks 64K on-raw"
	"qcow2 luks,encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256 4K on-qcow2"
	"qcow2 luks,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=plain,refcount_bits=1 2M mixed"
	"qcow2 luks,data_file_raw=off 4K mixed"
)
model_cases 1
