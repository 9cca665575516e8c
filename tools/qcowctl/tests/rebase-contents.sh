#!/bin/bash
# Another backing file, and what is read from the image stays the same: what the two files have alike
# is not copied.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
make_bases
declare -A formats=([raw]=raw [same]=raw [short]=raw [base]=qcow2 [deep]=qcow2)

random_seed
runs=0
# each of the new ones for each of the options and each of the old ones in one of two runs
for options in '' compat=0.10 cluster_size=512 extended_l2=on,cluster_size=16K data_file=data v1; do
	for old in '' raw deep; do
		news=('' same short base deep)
		SEED=$((SEED + 1))
		half news
		for new in "${news[@]}"; do
			format=qcow2
			[[ $options != v1 ]] || format=qcow
			old_format=${formats[${old:-raw}]} new_format=${formats[${new:-raw}]}
			arguments=()
			[[ -z $options || $options == v1 ]] || arguments=(-o "$options")
			[[ -z $old ]] || arguments+=(-b "$old" -F "$old_format")
			rm -f image data
			create "$format" "${arguments[@]}" image 2500K
			io image "$format" 'write -P 1 100K 100K' 'write -P 2 1100K 4K' 'write -P 3 2490K 10K'
			qemu-img convert -f "$format" -O raw image want
			rebase_command
			"${command[@]}" || die "$options: from '$old' to '$new'"
			judge_rebased image
			[[ $format == qcow ]] || qemu-img check -q image
			[[ $(qemu-img info --output json image |
				sed -n 's/^    "backing-filename": "\(.*\)",*/\1/p') == "$new" ]]
			runs=$((runs + 1))
		done
	done
done
[[ $runs -ge 36 ]]

# what is alike stays in the backing file
format=qcow2
create qcow2 -b raw -F raw image 3M
io image qcow2 'write -P 1 0 64K'
bytes=$(stat -c %s image)
cp raw copy
"$QCOWCTL" rebase -b copy -F raw image
[[ $(stat -c %s image) -eq $bytes ]]
"$QCOWCTL" rebase -b same -F raw image
qemu-img check -q image
# three clusters, and four of tables and counts, which have moved
[[ $(stat -c %s image) -le $((bytes + 7 * 65536)) ]]

# snapshots keep what they are, as in QEMU: they read the new backing file
qemu-img snapshot -c one image
qemu-img convert -f qcow2 -O raw image want
old=same old_format=raw new=deep new_format=qcow2
rebase_command
"${command[@]}" >out 2>err
[[ ! -s out && $(wc -l <err) -eq 1 ]]
grep -qF 'image: warning: what its snapshots (1) do not have themselves is read from the new' err
judge_rebased image
qemu-img snapshot -c two image
"$QCOWCTL" rebase -q -b base -F qcow2 image 2>err
"$QCOWCTL" rebase -u -b deep -F qcow2 image 2>>err
[[ ! -s err ]] || die "$(<err)"
old=deep old_format=qcow2 new=''
rebase_command
"${command[@]}" 2>err
grep -qF 'warning: what its snapshots (2) do not have themselves reads as zeros from now on' err
judge_rebased image
"${command[@]}" 2>err
[[ ! -s err ]] || die "$(<err)"
qemu-img snapshot -d one image
qemu-img snapshot -d two image
qemu-img check -q image

# refused
# refuse STATUS PATTERN ARGUMENT...: on image
refuse() {
	cp image before
	expect "$1" "$2" rebase "${@:3}" image
	cmp image before
}
create qcow2 -b raw -F raw image 1M
refuse "$NOT_FOUND" 'No such file' -b absent -F raw
refuse "$BAD_IMAGE" "states 'qcow2' for it" -b raw -F qcow2
refuse "$BAD_IMAGE" 'a loop' -b image -F qcow2
refuse "$POLICY" 'has a protocol, only files are opened' -b nbd:localhost:1 -F raw
refuse "$USAGE" 'has 1024 bytes' -b "$(printf '%01024d' 0)" -F raw
create_luks luks 1M
refuse "$UNSUPPORTED" 'luks: crypt_method 2: encrypted images are rebased with -u only' \
	-b luks -F qcow2
rm raw
refuse "$NOT_FOUND" "cannot open its backing file 'raw'" -b same -F raw
create raw raw 1M
io image qcow2 'write -P 1 0 200K'
python3 "$here/fault.py" low-data image
refuse "$BAD_IMAGE" 'is corrupt' -b same -F raw
hold base
create qcow2 -b raw -F raw image 1M
refuse "$BUSY" 'base: is in use' -b base -F qcow2
release
