#!/bin/bash
# What an L1 table is too short for reads as zeros (QEMU refuses such an image);
# one that is longer than the size asks for does no harm.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
# four L1 entries of 2 MiB
qemu-img create -q -f qcow2 -o cluster_size=4K image 8M
writes=()
for at in 0 2 4 6; do
	writes+=("write -s noise$at ${at}M 700K" "write -s text$at $((at + 1))M 1M")
done
image_io qcow2 image "${writes[@]}"
raw_of image
assert_eq "$(peek image 36 4)" 4 "entries of the L1 table"

for entries in 0 1 3; do
	cp image "short$entries"
	poke "short$entries" 36 "$(printf '%08x' "$entries")"
	assert_fails 'L1 table is too small' qemu-img info "short$entries"
	head -c "$((entries * 2))M" image.raw >expected
	truncate -s 8M expected
	dev=$(attach -r "short$entries")
	assert_same_reads "$dev" expected
	detach "$dev"
done

cp image long
poke long 24 "$(printf '%016x' $((3 << 20)))"
raw_of long
dev=$(attach -r long)
assert_same_reads "$dev" long.raw
detach "$dev"
