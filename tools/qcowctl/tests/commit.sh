#!/bin/bash
# What an image has goes into its backing file: the same as with QEMU, whatever both are. Snapshots
# of the backing file stay what they are, and the image is an empty overlay, or removed.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
top=$PWD
make_bases

# new NAME KIND SIZE [BACKING FORMAT]: an image of that kind; its format is in $format
new() {
	local arguments=()
	format=qcow2
	case $2 in
	raw | v1) format=${2/v1/qcow} ;;
	?*) arguments=(-o "$2") ;;
	esac
	[[ -z ${4-} || $format == raw || $2 == *data_file_raw* ]] || arguments+=(-b "$4" -F "$5")
	create "$format" "${arguments[@]}" "$1" "$3"
}
# own FORMAT IMAGE: bytes that it has itself
own() {
	qemu-img map --output json -f "$1" "$2" | python3 -c '
import json, sys
print(sum(e["length"] for e in json.load(sys.stdin) if e.get("present", True) and not e["depth"]))'
}
# make BASE IMAGE BASE-SIZE SIZE: of these kinds, in ours/ and theirs/; want has what is to be read
make() {
	local below=()
	rm -rf "$top"/{ours,theirs,want,kept}
	mkdir "$top/ours"
	cd "$top/ours"
	cp ../raw ../base ../deep .
	mv base middle
	qemu-img rebase -u -b middle -F qcow2 deep
	# one option tells the formats that version 1 does not
	[[ $1 == v1 && $2 == v1 ]] || below=(deep qcow2)
	new base "$1" "$3" "${below[@]}"
	base_format=$format options=()
	[[ $2 != v1 ]] || options=(--backing-format "$base_format")
	[[ $1 != v1 || $2 == v1 ]] || options=(--backing-format qcow2)
	io base "$base_format" 'write -P 1 100K 300K' 'write -P 2 600K 64K'
	[[ $1 ]] || io base qcow2 'write -c -P 5 512K 64K' 'write -c -P 6 832K 64K'
	[[ $base_format != qcow2 || $1 == data_file* ]] || qemu-img snapshot -c one base
	io base "$base_format" 'write -P 3 150K 20K'
	[[ $base_format != qcow2 || $1 == data_file* ]] ||
		qemu-img convert -l snapshot.name=one -O raw base ../kept
	new image "$2" "$4" base "$base_format"
	io image "$format" 'write -P 7 50K 100K' 'write -P 8 680K 10K' "write -P 9 $(($4 - 4096)) 4K" \
		'write -P 0 300K 100K'
	[[ $2 == v1 ]] || io image "$format" 'write -z 256K 64K' "write -z $(($4 - 300000)) 64K"
	[[ $2 ]] || io image qcow2 'write -c -P 10 512K 64K'
	qemu-img convert -f "$format" -O raw image ../want
	qemu-img convert -f "$base_format" -O raw base ../base.raw
	# the base keeps what it has behind the image
	[[ $3 -le $4 ]] || tail -c +$(($4 + 1)) ../base.raw >>../want
	cd ..
	cp -r ours theirs
	cd ours
}
# judge: after a commit
judge() {
	local bytes
	[[ $base_format == raw ]] || "$QCOWCTL" check -q base || [[ $base_format == qcow && $? -eq 3 ]] ||
		die "base: check"
	[[ $base_format != qcow2 ]] || qemu-img check -q base
	"$QCOWCTL" check -q image || die "image: check"
	[[ $(own "$format" image) -eq 0 ]] || die "the image has $(own "$format" image) bytes"
	qemu-img compare -q -f raw -F "$base_format" ../want base || die "the base differs"
	bytes=$(qemu-img info --output json -f "$format" image |
		sed -n 's/ *"virtual-size": \([0-9]*\),/\1/p')
	qemu-img convert -f "$format" -O raw image ../got
	cmp -n "$bytes" ../want ../got || die "through the image it differs"
	[[ ! -e ../kept ]] || {
		qemu-img convert -l snapshot.name=one -O raw base ../got
		# QEMU takes the size of the base for that of the snapshot
		cmp -n "$(stat -c %s ../kept)" ../kept ../got || die "a snapshot differs"
	}
}

runs=0
for base in raw '' compat=0.10 cluster_size=512 cluster_size=2M extended_l2=on,cluster_size=16K \
	data_file=below data_file=below,data_file_raw=on v1; do
	cases=()
	for image in '' compat=0.10 cluster_size=512 cluster_size=2M extended_l2=on,cluster_size=16K \
		data_file=data v1; do
		for size in 1025024 716288 2560000; do
			cases+=("$size $image")
		done
	done
	SEED=$((SEED + 5))
	one_in 10 cases
	for case in "${cases[@]}"; do
		make "$base" "${case#* }" 1025024 "${case%% *}"
		"$QCOWCTL" commit "${options[@]}" image || die "base '$base', image '$case'"
		(judge) || die "base '$base', image '$case'"
		# the space of the image is given back
		[[ $format == qcow || $(stat -c %s image) -le \
			$((6 * $(qemu-img info --output json image |
				sed -n 's/ *"cluster-size": \([0-9]*\),/\1/p'))) ]] ||
			die "image '$case': $(stat -c %s image) bytes"
		[[ ! -e data || $(stat -c %b data) -eq 0 ]] || die "the data file has $(stat -c %b data)"
		# QEMU makes it as long as whole clusters
		[[ $base != *data_file_raw* ]] || cmp -n "$(stat -c %s ../want)" below ../want
		# QEMU does not make version 1 longer, nor version 2 with snapshots
		if [[ ($base != v1 && $base != compat=0.10) || ${case%% *} -le 1025024 ]]; then
			cd ../theirs
			qemu-img commit -q -f "$format" image
			qemu-img compare -q -f raw -F "$base_format" ../want base ||
				die "base '$base', image '$case': QEMU has something else"
			cd ../ours
		fi
		# nothing is left to do
		sha256sum base image >../sums
		"$QCOWCTL" commit "${options[@]}" image
		sha256sum --quiet -c ../sums
		runs=$((runs + 1))
	done
done
[[ $runs -ge 18 ]]

# each goes on after the other
make '' '' 1025024 2560000
"$QCOWCTL" commit image
(cd ../theirs && qemu-img commit -q image)
for dir in ours theirs; do
	cd "$top/$dir"
	io image qcow2 'write -P 11 200K 300K' 'write -z 1M 200K'
	qemu-img convert -O raw image ../want
	rm -f ../kept
	if [[ $dir == ours ]]; then
		qemu-img commit -q image
	else
		"$QCOWCTL" commit image
	fi
	(judge)
done

# preallocated clusters, of which some have data and some are zeros
make '' '' 1025024 1025024
create qcow2 -o preallocation=metadata,extended_l2=on -b base -F qcow2 full 1M
io full qcow2 'write -P 12 64K 64K' 'discard 128K 64K'
qemu-img convert -O raw full ../want
cp full image
rm ../kept
"$QCOWCTL" commit image
judge

# bitmaps of the image stay, and autoclear bits of others go, as with any writer
make '' '' 1025024 1025024
qemu-img bitmap --add image one
io image qcow2 'write -P 14 0 4K'
qemu-img convert -O raw image ../want
bitmaps=$(python3 "$here/bitmaps.py" image)
poke base 88 8000000000000000
"$QCOWCTL" commit image
judge
[[ $bitmaps == 'one '* && $(python3 "$here/bitmaps.py" image) == "$bitmaps" ]] || die "$bitmaps"
[[ $(dd if=base bs=1 skip=88 count=8 status=none | od -An -tx8) =~ ^\ 0+$ ]]

# a raw data file gets no longer than the disk
make data_file=below,data_file_raw=on '' 1025024 1025024
truncate -s 1025024 below
"$QCOWCTL" commit image
judge
cmp below ../want

# removed, with its data file
for drop in '' data_file=data v1; do
	make '' "$drop" 1025024 1025024
	ln -s image link
	"$QCOWCTL" commit --drop "${options[@]}" link
	[[ ! -e image && ! -e data && -L link ]] || die "it is there: $(ls)"
	qemu-img compare -q -f raw -F qcow2 ../want base
	qemu-img check -q base
done

# progress, and a rate
make '' '' 1025024 2560000
"$QCOWCTL" commit --progress json image >lines
[[ $(tail -n 1 lines) == '{"job":"commit","done":2560000,"total":2560000}' ]] || die "$(<lines)"
judge
make raw '' 4194304 4194304
io image qcow2 'write -P 1 1M 1M'
SECONDS=0
"$QCOWCTL" commit -q --rate 512K image >out 2>err
[[ $SECONDS -ge 1 && ! -s out && ! -s err ]] || die "$SECONDS s; $(cat out err)"
