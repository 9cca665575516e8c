#!/bin/bash
# Whatever the version, cluster size, compression, subclusters, data file and
# refcount width, and whichever program wrote it, a device has the bytes that QEMU
# reads, through the page cache and directly, and not a byte of the image changes.
# kernels: 6.12
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

# format, options of qemu-img create, cluster size, kinds of writes; compressed
# comes with plain ones beside
cases=(
	"qcow - 4K compressed"
	"qcow2 compat=0.10 512 compressed"
	"qcow2 compat=0.10 4K compressed"
	"qcow2 compat=0.10 64K compressed"
	"qcow2 compat=0.10 2M compressed"
	"qcow2 refcount_bits=1,compression_type=zstd 512 compressed"
	"qcow2 refcount_bits=64,compression_type=zstd 4K compressed"
	"qcow2 refcount_bits=64 64K plain"
	"qcow2 refcount_bits=16 64K compressed"
	"qcow2 refcount_bits=1,compression_type=zstd 64K compressed"
	"qcow2 refcount_bits=64,compression_type=zstd 2M compressed"
	"qcow2 extended_l2=on 16K compressed"
	"qcow2 extended_l2=on,refcount_bits=64,compression_type=zstd 64K compressed"
	"qcow2 extended_l2=on,refcount_bits=1 2M compressed"
	"qcow2 data_file_raw=on,refcount_bits=1 4K plain"
	"qcow2 data_file_raw=off,refcount_bits=64 64K plain"
	"qcow2 extended_l2=on,data_file_raw=off,refcount_bits=1 64K plain"
	"qcow2 data_file_raw=on,refcount_bits=16 2M plain"
)

# make NUMBER FORMAT OPTIONS CLUSTER KINDS: image iN and what QEMU reads from it
make() {
	local image=i$1 options=() kinds=(noise text pattern zero unmap discard) size=8M
	[[ $2 == qcow ]] || options=(-o "$3,cluster_size=$4")
	[[ $3 != *data_file_raw* ]] || options+=(-o "data_file=$image.data")
	[[ $5 != compressed ]] || kinds+=(compressed compressed)
	case $4 in
	512 | 4K) size=4M ;;
	2M) size=24M ;;
	esac
	RANDOM=$(((SEED + $1) % 32768))
	qemu-img create -q -f "$2" "${options[@]}" "$image" "$size"
	random_writes "$(numfmt --from=iec "$size")" "$(numfmt --from=iec "$4")" "${kinds[@]}"
	image_io "$2" "$image" "${WRITES[@]}"
	qemu-img convert -f "$2" -O raw "$image" "$image.raw"
}

random_seed
noise_files
half cases
for i in "${!cases[@]}"; do
	# two at once
	[[ $(jobs -rp | wc -l) -lt 2 ]] || wait -n || fail "an image could not be made"
	read -r -a words <<<"${cases[i]}"
	make "$i" "${words[@]}" &
done
mkdir foreign
cd foreign
"$QCOW_ROOT/scripts/vm/guest/foreign" "$SEED" >../foreign.names
while read -r name format; do
	wait -n || fail "an image could not be made"
	qemu-img convert -f "$format" -O raw "$name" "$name.raw" &
done <../foreign.names
cd ..
while [[ -n $(jobs -rp) ]]; do
	wait -n || fail "an image could not be made"
done
keep i* foreign/*

devices=() pairs=()
for i in "${!cases[@]}"; do
	dev=$(attach -r "i$i")
	echo "$dev: ${cases[i]}"
	read -r -a words <<<"${cases[i]}"
	assert_attr "$dev" cluster_size "$(numfmt --from=iec "${words[2]}")"
	assert_attr "$dev" direct_io 1
	devices+=("$dev")
	pairs+=("$dev" "i$i.raw")
done
while read -r name _; do
	dev=$(attach -r --backing-format raw "foreign/$name")
	echo "$dev: $name"
	devices+=("$dev")
	pairs+=("$dev" "foreign/$name.raw")
done <foreign.names
assert_same_reads "${pairs[@]}"
detach "${devices[@]}"
assert_unchanged
