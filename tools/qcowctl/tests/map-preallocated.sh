#!/bin/bash
# What is preallocated and has not been written is a hole of the file: map says zero, as
# qemu-img does.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

for mode in metadata falloc full; do
	for options in cluster_size=64K cluster_size=4K,compat=0.10 \
		cluster_size=64K,extended_l2=on; do
		rm -f a
		create qcow2 -o "preallocation=$mode,$options" a 8M
		same_map qcow2 a
		io a qcow2 'write -P 1 1M 64K' 'write -P 2 4M 512'
		same_map qcow2 a
	done
done
create qcow2 -o preallocation=metadata,cluster_size=64K a 8M
io a qcow2 'write -P 1 1M 64K'
same_map qcow2 a
grep -Eq '^ *0x110000 +0x6f0000 +0x[0-9a-f]+ zero +0$' out || die "$(cat out)"
create qcow2 -o preallocation=metadata,data_file=raw b 8M
io b qcow2 'write -P 1 1M 64K'
same_map qcow2 b
same_info qcow2 a
