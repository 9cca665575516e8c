#!/bin/bash
# create makes what qemu-img makes, over versions, cluster sizes and features.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

both() {
	rm -rf want got
	make_both qcow2 "$@"
	same_new qcow2
}
random_seed
cases=({0.10,1.1}',cluster_size='{512,4096,8K,2M}' '{0,1000,5G})
half cases
for case in "${cases[@]}"; do
	both -o "compat=${case% *}" image "${case#* }"
done
for size in 512 1M 1234944; do
	both image "$size"
done
for compat in v2 v3; do
	both -o "compat=$compat,cluster_size=1k" image 8M
done
for bits in 1 2 4 8 16 32 64; do
	both -o "refcount_bits=$bits,cluster_size=512" image 100M
done
for cluster in 16K 64K 2M; do
	both -o "extended_l2=on,cluster_size=$cluster" image 8M
done
both -o compression_type=zstd image 8M
both -o compression_type=zlib,compat=0.10 image 8M
both -o lazy_refcounts=on image 8M
both -o lazy_refcounts=off,compat=0.10,refcount_bits=16 image 8M
both -o lazy_refcounts image 8M
both -o compression_type=zstd,extended_l2=on,lazy_refcounts=on,refcount_bits=1 image 8M
both -o cluster_size=4k -o refcount_bits=8 -o size=3M image
both -o size=1M,size=2M image
both image 8M
# the version is in the format's name, or in compat
"$QCOWCTL" create -o compat=v1 v1 1M
qemu-img info -f qcow v1 >/dev/null
"$QCOWCTL" create --format qcow2 v3 1M
qemu-img info -f qcow2 v3 | grep -q 'compat: 1.1'
"$QCOWCTL" create -o help | grep -q '^  cluster_size '
