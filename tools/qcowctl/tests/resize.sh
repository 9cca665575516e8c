#!/bin/bash
# An image that is not attached gets another size: what it had stays, what is new reads as zeros,
# and QEMU agrees. Sizes in the middle of a cluster, longer backing files, clusters that a larger
# size has left, snapshots, data files.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# good FORMAT: the image is clean, and has what is in want
good() {
	"$QCOWCTL" check image >check.log 2>&1 || [[ $1 == qcow && $? -eq 3 ]] || die "$(cat check.log)"
	if [[ $1 == qcow2 ]]; then
		qemu-img check -q image
	fi
	[[ $(qemu-img info --output json image | sed -n 's/ *"virtual-size": \([0-9]*\),/\1/p') -eq \
		$(stat -c %s want) ]] || die "another size"
	qemu-img compare -q -f raw -F "$1" want image || die "content differs"
}
# resized FORMAT SIZE [OPTION...]
resized() {
	local was
	was=$(stat -c %s want)
	[[ $2 != [0-9]* ]] || truncate -s "$2" want
	[[ $2 == [0-9]* ]] || truncate -s "$2" want
	"$QCOWCTL" resize "${@:2}" image >out || die "resize ${*:2}: status $?"
	[[ $(cat out) == "image: $(stat -c %s want) bytes, $was before" ]] || die "$(cat out)"
	good "$1"
}

create raw raw 3M
io raw raw 'write -P 9 0 3M'
create qcow2 -o compression_type=zstd compressed 3M
qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd raw compressed
create qcow2 -b compressed -F qcow2 deep 2M
io deep qcow2 'write -P 7 1M 300K' 'write -z 1500K 64K'
random_seed
kinds=('' compat=0.10 cluster_size=512 cluster_size=2M "extended_l2=on,cluster_size=16K" data_file=data v1)
half kinds
for options in "${kinds[@]}"; do
	for backing in '' raw deep; do
		format=qcow2
		rm -f data image
		[[ $options != v1 ]] || format=qcow
		backing_format=qcow2
		[[ $backing != raw ]] || backing_format=raw
		base=()
		[[ -z $backing ]] || base=(-b "$backing" -F "$backing_format")
		arguments=()
		[[ -z $options || $options == v1 ]] || arguments=(-o "$options")
		create "$format" "${arguments[@]}" "${base[@]}" image 1000K
		io image "$format" 'write -P 1 0 100K' 'write -P 2 990K 10K'
		qemu-img convert -f "$format" -O raw image want
		arguments=()
		[[ $format != qcow || -z $backing ]] || arguments=(--backing-format "$backing_format")
		resized "$format" +1K "${arguments[@]}"
		resized "$format" 2M "${arguments[@]}"
		resized "$format" 5M "${arguments[@]}"
		# what reads as zeros without space goes
		if [[ $format == qcow2 && $options != compat* || -z $backing ]]; then
			resized "$format" 4M --shrink
		fi
		expect "$BAD_IMAGE" 'new size is 1000448, and guest offset [0-9]* is in use' \
			resize --shrink 977K image
		good "$format"
		io image "$format" 'write -P 3 3M 64K'
		io want raw 'write -P 3 3M 64K'
		good "$format"
	done
done

# what a larger size has left: clusters of data, compressed and preallocated ones
kinds=('' compat=0.10 cluster_size=1K "extended_l2=on,cluster_size=16K" v1)
half kinds
for options in "${kinds[@]}"; do
	for backing in '' raw; do
		format=qcow2
		[[ $options != v1 ]] || format=qcow
		arguments=()
		[[ -z $options || $options == v1 ]] || arguments=(-o "$options")
		[[ -z $backing ]] || arguments+=(-b raw -F raw)
		for pattern in 'write -P 5' 'write -c -P 5' 'write -z'; do
			# QEMU has neither in version 1
			[[ $format == qcow2 || $pattern == 'write -P 5' ]] || continue
			create "$format" "${arguments[@]}" image 2M
			io image "$format" 'write -P 5 0 960K' "$pattern 960K 64K" \
				"$pattern 1M 64K" 'write -P 5 1088K 960K'
			# 1000K
			poke image 24 00000000000fa000
			qemu-img convert -f "$format" -O raw image want
			size=()
			[[ $format != qcow || -z $backing ]] || size=(--backing-format raw)
			resized "$format" 1990K "${size[@]}"
		done
	done
done

# a snapshot keeps its size and its content
kinds=('' cluster_size=1K compat=0.10 "extended_l2=on,cluster_size=16K")
half kinds
for options in "${kinds[@]}"; do
	create qcow2 ${options:+-o "$options"} -b raw -F raw image 1000K
	io image qcow2 'write -P 1 0 100K' 'write -P 2 900K 100K'
	qemu-img snapshot -c one image
	qemu-img convert -f qcow2 -O raw image want
	cp want kept
	resized qcow2 2M
	# QEMU takes the size of the image for that of the snapshot
	qemu-img convert -l snapshot.name=one -O raw image got
	cmp -n 1024000 got kept
	io image qcow2 'write -P 3 990K 100K'
	io want raw 'write -P 3 990K 100K'
	good qcow2
	qemu-img convert -l snapshot.name=one -O raw image got
	cmp -n 1024000 got kept
	"$QCOWCTL" info --dump --output json image | grep '"disk_size": 1024000' >/dev/null
	# QEMU does not, in version 2
	"$QCOWCTL" snapshot -a one image
	cp kept want
	good qcow2
	qemu-img snapshot -d one image
	good qcow2
done

# a raw data file is the disk: as long as it, with zeros where it was longer
create qcow2 -o data_file=data,data_file_raw=on image 1000K
io image qcow2 'write -P 1 0 1000K'
truncate -s 1000K data
cp data want
printf 'more than that' >>data
resized qcow2 3M
cmp data want
"$QCOWCTL" resize --shrink 2M image >out
truncate -s 2M want
cmp data want
good qcow2
# so is another one
create qcow2 -o data_file=other image 1M
"$QCOWCTL" resize -q 3M image
[[ $(stat -c %s other) -eq 3145728 ]]

# an L1 table that moves, of an image that is long
create qcow2 -o cluster_size=512 image 1M
io image qcow2 'write -P 1 0 1M'
qemu-img convert -f qcow2 -O raw image want
resized qcow2 10G
resized qcow2 100G
create qcow image 1M
io image qcow 'write -P 1 0 1M'
qemu-img convert -f qcow -O raw image want
resized qcow 10G
resized qcow 100G
