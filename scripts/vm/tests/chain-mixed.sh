#!/bin/bash
# Layers of any version, cluster size and kind fit on one another, whether they
# are shorter or longer than what lies over them.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
kinds=(noise text pattern zero unmap)

# layer IMAGE BACKING FORMAT-OF-BACKING SIZE FORMAT [OPTIONS]
layer() {
	local cluster=65536
	[[ ${6:-} != *cluster_size=* ]] || cluster=$(numfmt --from=iec "${6##*cluster_size=}")
	# QEMU states the format in no version 1 image
	qemu-img create -q -f "$5" -b "$2" -F "$3" ${6:+-o "$6"} "$1" "$4"
	random_writes "$4" "$cluster" "${kinds[@]}"
	image_io "$5" "$1" "${WRITES[@]:0:16}"
}

cat noise{0..7} text{0..7} noise{0..7} >base
truncate -s 1999900 base
# a base that ends inside a sector, below everything
layer a base raw $((3 << 20)) qcow2 compat=0.10,cluster_size=512
layer b a qcow2 $((4 << 20)) qcow2 extended_l2=on,cluster_size=32K
layer c b qcow2 $((2 << 20)) qcow2 compression_type=zstd,cluster_size=2M
layer d c qcow2 $((2 << 20)) qcow
layer e d qcow $(((5 << 20) + 512)) qcow2 cluster_size=4K

devices=() pairs=()
for image in a b c e; do
	raw_of "$image"
	# the one version 1 image has a backing file whose format is stated nowhere
	dev=$(attach -r --backing-format qcow2 "$image")
	devices+=("$dev")
	pairs+=("$dev" "$image.raw")
done
assert_attr "$dev" depth 6
assert_attr "$dev" backing "$PWD/d"
assert_same_reads "${pairs[@]}"
detach "${devices[@]}"

# QEMU cannot read version 1 behind the end of its backing file: it is zeros
cat noise{0..7} text{0..7} >short
truncate -s 1M short
qemu-img create -q -f qcow -b short -F raw v1 2M
dev=$(attach -r --backing-format raw v1)
cp short expected
truncate -s 2M expected
assert_same_reads "$dev" expected
detach "$dev"
