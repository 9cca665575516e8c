#!/bin/bash
# Images of every kind (a third of the kinds in one run) get overlays: versions, external data files,
# compressed clusters, chains, images on a block device and in the page cache.
# kernels: 6.12
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"

fill raw 24M
fill other 24M 2

# other WHERE: 2 MiB of other content, at a place that depends on it
other() { dd if=other of="$2" bs=64K skip=$((32 * $1)) seek=$((17 * $1 + 5)) count=32 conv=notrunc "${@:3}" status=none; }

# kind NAME ATTACH-ARGUMENT...: a device of it gets three overlays, one of them while it is written to
kind() {
	local name=$1 dev i
	shift
	echo "$name $*"
	cp raw want
	dev=$(attach "$@" "$name")
	for i in 1 2 3; do
		other "$i" "$dev" oflag=direct &
		qcowctl overlay "$dev" "$PWD/over$i"
		wait $!
		other "$i" want
		cmp "$dev" want || fail "$name, overlay $i"
	done
	blkdiscard -z -o 1M -l 1M "$dev"
	dd if=/dev/zero of=want bs=1M seek=1 count=1 conv=notrunc status=none
	cmp "$dev" want
	detach "$dev"
	assert_clean over1 over2 over3
	dev=$(attach -r --allow-backing "$PWD" --allow-backing "$name" over3)
	cmp "$dev" want
	detach "$dev"
	assert_image_is want over3
	rm over?
}

# an_empty VERSION: written to by a device
an_empty() {
	qcowctl create -o "compat=$1" image 24M
	dev=$(attach image)
	dd if=raw of="$dev" bs=1M oflag=direct status=none
	detach "$dev"
	kind image
	assert_clean image
}

# converted ARGUMENT...: by QEMU
converted() {
	qemu-img convert -O qcow2 "$@" raw image
	kind image
}

subclusters() {
	converted -o extended_l2=on
	assert_clean image
}

data_file() {
	converted -o data_file=data,data_file_raw=on
	assert_clean image
	cmp -n 1M raw data
}

on_backing() {
	qemu-img create -q -f qcow2 -b raw -F raw image
	kind image
}

# on_block ATTACH-ARGUMENT...
on_block() {
	qemu-img convert -O qcow2 raw /dev/ram1
	kind /dev/ram1 "$@"
}

small_clusters() {
	qemu-img convert -O qcow2 -o cluster_size=512 raw image
	kind image --direct-io off
}

random_seed
cases=("an_empty v1" "an_empty v2" "an_empty v3" "converted -c" small_clusters subclusters
	data_file on_backing on_block "on_block --direct-io off")
one_in 3 cases
for case in "${cases[@]}"; do
	read -r -a words <<<"$case"
	"${words[@]}"
	rm -f image data
done

echo "with a snapshot beside, owner and mode"
for image in image /dev/ram1; do
	qemu-img convert -O qcow2 raw "$image"
	chmod 640 "$image"
	chown 1:2 "$image"
	dev=$(attach "$image")
	qcowctl snapshot -c one "$dev"
	beside=$(attach --snapshot one "$image")
	other 1 "$dev" oflag=direct
	qcowctl overlay "$image" "$PWD/over"
	assert_attr "$dev" depth 2
	second=$(qcowctl fork --own "$PWD/own" over "$PWD/second")
	cp raw want
	other 1 want
	for same in "$dev" "$second"; do
		cmp "$same" want
	done
	cmp "$beside" raw
	for file in over own second; do
		assert_eq "$(stat -c %a:%u:%g "$file")" 640:1:2
	done
	detach "$beside" "$second" "$dev"
	assert_clean over own second
	rm over own second
done
