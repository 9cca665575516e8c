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
add v3-byte qcow2 1
printf x >byte
qemu-img create -q -f qcow2 -b byte -F raw over-byte
raw_of over-byte
dev=$(attach -r over-byte)
devices+=("$dev")
pairs+=("$dev" over-byte.raw)
assert_same_reads "${pairs[@]}"
detach "${devices[@]}"

# and to be written to
dev=$(attach v3-byte)
assert_eq "$(blockdev --getsize64 "$dev")" 0 "size"
blockdev --flushbufs "$dev"
detach "$dev"
dev=$(attach over-byte)
dd if=noise0 of="$dev" bs=512 count=1 oflag=direct status=none
detach "$dev"
raw_of over-byte
assert cmp -n 512 noise0 over-byte.raw
assert_clean v3-byte over-byte
