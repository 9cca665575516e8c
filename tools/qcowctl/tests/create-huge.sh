#!/bin/bash
# Huge images take next to nothing and are whole.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

random_seed
kinds=(compat=0.10 compat=1.1 cluster_size=2M refcount_bits=64 extended_l2=on)
half kinds
for options in "${kinds[@]}"; do
	rm -rf want got
	make_both qcow2 -o "$options" image 64T
	same_new qcow2
	[[ $(stat -c %b got/image) -le $(($(stat -c %b want/image) + 256)) ]]
done
"$QCOWCTL" create --force -f qcow v1 64T
[[ $(stat -c %b v1) -le 64 ]]
io v1 qcow 'write -P 3 70368744173568 4096' 'read -P 3 70368744173568 4096'
# the size of the L1 table ends what a cluster size can have
at_limit() {
	local cluster=$1 most=$2
	"$QCOWCTL" create --force -o "cluster_size=$cluster" image $((most - 512))
	"$QCOWCTL" create --force -o "cluster_size=$cluster" image "$most"
	qemu-img check -q image
	qemu-img info image | grep -q "($most bytes)"
	rm image
	refuse "$USAGE" "size: $((most + 512)) is too large for clusters" \
		-o "cluster_size=$cluster" image $((most + 512))
}
at_limit 512 $((128 << 30))
at_limit 4K $((8 << 40))
at_limit 64K $((2 << 50))
refuse "$USAGE" 'size: 70368744178176 is too large' -f qcow image 70368744178176
refuse "$USAGE" "size: '8E' is too large" -o cluster_size=2M image 8E
refuse "$USAGE" "size: '99999999999999999999' is too large" image 99999999999999999999
# 8 MiB of refcount table: 2^28 clusters of 512 bytes
refuse "$USAGE" 'preallocation: a size of 137438953472 is too large' \
	-o cluster_size=512,preallocation=metadata image 128G
