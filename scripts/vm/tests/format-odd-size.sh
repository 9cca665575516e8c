#!/bin/bash
# A device is as long as QEMU says, also where the size is no multiple of the
# cluster or of 512, or nothing at all, and reads right up to its end.
# kernels: 6.12
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
pairs=() devices=()

# add IMAGE FORMAT SIZE [OPTIONS]: full at its end; the header may state less
# than a multiple of 512
add() {
	local image=$1 format=$2 size=$3 dev
	local up=$((($3 + 511) / 512 * 512))
	qemu-img create -q -f "$format" ${4:+-o "$4"} "$image" "$up"
	[[ $up -eq 0 ]] ||
		image_io "$format" "$image" "write -s noise0 0 512" \
			"write -s text1 $((up > 9216 ? up - 9216 : 0)) $((up > 9216 ? 9216 : up))"
	[[ $up -eq $size ]] || poke "$image" 24 "$(printf '%016x' "$size")"
	raw_of "$image" -f "$format"
	assert_eq "$(stat -c %s "$image.raw")" "$((size / 512 * 512))" "what QEMU says"
	dev=$(attach -r "$image")
	devices+=("$dev")
	pairs+=("$dev" "$image.raw")
}

add v1-odd qcow $(((2 << 20) + 1300))
add v2-odd qcow2 $(((2 << 20) + 700)) compat=0.10
add v3-cluster qcow2 $(((2 << 20) + 65024)) cluster_size=64K
add v3-odd qcow2 $(((2 << 20) - 1)) cluster_size=2M
add v3-sector qcow2 512 cluster_size=64K
add v3-subclusters qcow2 $(((1 << 20) + 1536)) extended_l2=on,cluster_size=16K
add v3-nothing qcow2 0
assert_same_reads "${pairs[@]}"
detach "${devices[@]}"
