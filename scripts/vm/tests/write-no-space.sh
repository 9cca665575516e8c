#!/bin/bash
# When the file system below is full, writes that need room fail with ENOSPC and leave what
# was there; nothing is wrong with the image; with room again writing goes on, without a new
# attach.
# kernels: 6.12
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

random_seed
mkdir mnt
fill data 20M
truncate -s 48M disk
mkfs.ext4 -q -m 0 disk
loop=$(losetup -f --show disk)
mount "$loop" mnt
size=$((24 << 20))
cases=("cluster_size=4K,compat=0.10" "extended_l2=on" -)
half cases
for options in "${cases[@]}"; do
	echo "$options"
	format=qcow2
	[[ $options != - ]] || format=qcow
	args=()
	[[ $options == - ]] || args=(-o "$options")
	qemu-img create -q -f "$format" "${args[@]}" mnt/image "$size"
	rm -f shadow
	truncate -s "$size" shadow
	# room for some megabytes
	room=$(df --output=avail -B1 mnt | tail -n 1)
	fallocate -l $((room - (6 << 20))) mnt/filler

	dev=$(attach mnt/image)
	got=0
	output=$(dd if=data of="$dev" bs=256K oflag=direct 2>&1) || got=$?
	[[ $got -ne 0 ]] || fail "$options: 20 MiB fit into 6"
	assert_match "$output" 'No space left on device'
	dd if="$dev" of=shadow bs=1M iflag=direct conv=notrunc status=none
	cmp -n $((2 << 20)) data shadow || fail "$options: what was written is not there"
	model "$dev" shadow -n 30 -p 3 -e ENOSPC | tee said
	assert_match "$(cat said)" '[0-9]+ failed(,|$)' "$options: what the model did"

	rm mnt/filler
	# the file system below frees what was deleted at its next commit
	sync -f mnt
	model "$dev" shadow -n 40 -p 3
	dd if=data of="$dev" bs=1M seek=20 count=2 oflag=direct conv=fsync status=none
	dd if=data of=shadow bs=1M seek=20 count=2 conv=notrunc status=none
	detach "$dev"
	assert_clean mnt/image
	assert_image_is shadow mnt/image "$format"
	rm mnt/image

	# and with a detach while it is full
	qemu-img create -q -f "$format" "${args[@]}" mnt/image "$size"
	rm shadow
	truncate -s "$size" shadow
	sync -f mnt
	room=$(df --output=avail -B1 mnt | tail -n 1)
	fallocate -l $((room - (1 << 20))) mnt/filler
	dev=$(attach mnt/image)
	model "$dev" shadow -n 50 -p 3 -e ENOSPC | tee said
	assert_match "$(cat said)" '[0-9]+ failed(,|$)' "$options: what the model did"
	detach "$dev"
	rm mnt/filler
	sync -f mnt
	# the gaps of version 1 are holes of the file: there was no space to move anything into them
	[[ $format == qcow2 ]] || qcowctl check -q -r leaks mnt/image || true
	assert_clean mnt/image
	assert_image_is shadow mnt/image "$format"
	rm mnt/image
done
assert umount mnt
losetup -d "$loop"
