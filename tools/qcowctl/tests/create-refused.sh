#!/bin/bash
# What makes no sense is refused with the option and its value, and leaves nothing behind.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 base 1M
refuse "$USAGE" "cluster_size: '256' is no power of two" -o cluster_size=256 image 1M
refuse "$USAGE" "cluster_size: '4M' is no power of two" -o cluster_size=4M image 1M
refuse "$USAGE" "cluster_size: '513' is no power of two" -o cluster_size=513 image 1M
refuse "$USAGE" "cluster_size: '1000' is no power" -o cluster_size=1000 image 1M
for bits in 0 3 15 17 65 128; do
	refuse "$USAGE" "refcount_bits: '$bits' is no power of two from 1 to 64" \
		-o "refcount_bits=$bits" image 1M
done
refuse "$USAGE" "extended_l2: 'on' needs a cluster_size of at least 16384, it is 8192" \
	-o extended_l2=on,cluster_size=8k image 1M
refuse "$USAGE" "compat: '0.9' is none of" -o compat=0.9 image 1M
refuse "$USAGE" "compat: '1.1' is not of the format 'qcow'" -f qcow -o compat=1.1 image 1M
refuse "$USAGE" "compat: 'v1' is not of the format 'qcow2'" -f qcow2 -o compat=v1 image 1M
refuse "$USAGE" "format: 'raw' is neither" -f raw image 1M
refuse "$USAGE" "compression_type: 'lzo' is none of" -o compression_type=lzo image 1M
refuse "$USAGE" "preallocation: 'on' is none of" -o preallocation=on image 1M
refuse "$USAGE" "lazy_refcounts: '2' is neither" -o lazy_refcounts=2 image 1M
refuse "$USAGE" "'colour=red': no such option" -o colour=red image 1M
refuse "$USAGE" "'cluster_size' needs a value" -o cluster_size image 1M
refuse "$USAGE" "'encrypt.key-secret=k': QEMU's secrets are not known" \
	-o encrypt.format=luks,encrypt.key-secret=k image 1M
refuse "$USAGE" "'xts' without encrypt.format=luks" -o encrypt.cipher-mode=xts image 1M
refuse "$USAGE" "'rc4' is neither luks nor aes" -o encrypt.format=rc4 image 1M
refuse "$USAGE" 'version 1 has aes only' -f qcow -o encrypt.format=luks image 1M
refuse "$USAGE" '--key-file: only with encrypt.format=luks' --key-file k image 1M
luks=encrypt.format=luks
refuse "$USAGE" 'preallocated would not read as zeros' -o "$luks,preallocation=full" image 1M
refuse "$USAGE" 'not read as zeros' -o "$luks,data_file=d,data_file_raw=on" image 1M
refuse "$USAGE" "'aes' is no cipher" -o "$luks,encrypt.cipher-alg=aes" image 1M
refuse "$USAGE" 'rot-xts-plain64 with a key of 64 bytes' -o "$luks,encrypt.cipher-alg=rot-256" image 1M
refuse "$USAGE" 'aes-ctr-plain64 with a key of 32' -o "$luks,encrypt.cipher-mode=ctr" image 1M
refuse "$USAGE" "'crc' is not known" -o "$luks,encrypt.hash-alg=crc" image 1M
refuse "$USAGE" "iter-time: '0' is no number" -o "$luks,encrypt.iter-time=0" image 1M
refuse "$NOT_FOUND" 'absent: cannot open the key file' -o "$luks" --key-file absent image 1M
: >empty
refuse "$USAGE" 'the new passphrase is empty' -o "$luks" --key-file empty image 1M
for old in refcount_bits=8 lazy_refcounts=on extended_l2=on compression_type=zstd data_file=d; do
	refuse "$USAGE" "${old%=*}: '${old#*=}' needs compat=1.1" -o "compat=0.10,$old" image 1M
done
for none in cluster_size=4K refcount_bits=16 preallocation=off lazy_refcounts=off; do
	refuse "$USAGE" "${none%=*}: '${none#*=}': version 1 has no such option" \
		-f qcow -o "$none" image 1M
done
refuse "$USAGE" "data_file_raw: 'on' without data_file" -o data_file_raw=on image 1M
refuse "$USAGE" "data_file_raw: 'on' with the backing file 'base'" \
	-o data_file=d,data_file_raw=on -b base -F qcow2 image
refuse "$USAGE" "preallocation: 'metadata' would hide the backing file 'base'" \
	-o preallocation=metadata -b base -F qcow2 image
refuse "$POLICY" "data_file: 'nbd:x' has a protocol" -o data_file=nbd:x image 1M
refuse "$USAGE" "data_file: 'image' is the image itself" -o data_file=image image 1M
refuse "$USAGE" "data_file: 'base' is the backing file" -o data_file=base -b base -F qcow2 image
refuse "$USAGE" "size: none is given" image
refuse "$USAGE" "size: '1M' and '2M'" -o size=1M image 2M
refuse "$USAGE" "size: '1X' is no size" image 1X
refuse "$USAGE" "an image and a size are wanted, 3 given" image 1M 2M
refuse "$USAGE" "an image and a size are wanted, 0 given"
refuse "$USAGE" 'try: qcowctl create --help' --frobnicate image 1M
