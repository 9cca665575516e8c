#!/bin/bash
# What its backing files have becomes a device's own while it is written to: it reads as before, the
# chain is shorter, and what is a hole or zero takes no space. It is shown, slowed down, cancelled
# and interrupted, and goes on.
# kernels: 6.12 6.1 debug 7.3
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

readonly MIB=$((1 << 20))

# Three layers in three directories: data of each alone, over each other, zeros over data, compressed
# clusters, holes.
make_layers() {
	mkdir -p layers/deep
	fill data 12M
	# it ends within a sector
	truncate -s $((40 * MIB - 1100)) layers/deep/base
	head -c 1000 /dev/urandom >>layers/deep/base
	dd if=data of=layers/deep/base bs=1M conv=notrunc status=none
	dd if=data of=layers/deep/base bs=1M seek=20 count=4 conv=notrunc status=none
	qemu-img create -q -f qcow2 -b deep/base -F raw layers/middle 48M
	image_io qcow2 layers/middle "write -P 1 2M 3M" "write -z 6M 2M" "write -c -P 2 9M 256K" \
		"write -P 3 21M 100K" "write -P 4 45M 1M" "write -P 5 30M 4K"
	keep layers/deep/base layers/middle
}

# begin FORMAT OPTIONS: an image on top, attached and written to; disk has its bytes
begin() {
	local options=()
	[[ $2 == - ]] || options=(-o "$2")
	rm -f image image.data stop
	qemu-img create -q -f "$1" "${options[@]}" -b layers/middle -F qcow2 image 48M
	image_io "$1" image "write -P 7 3M 1M" "write -P 8 22M 64K"
	qemu-img convert -f "$1" -O raw image disk
	dev=$(attach image)
	assert_attr "$dev" depth 3
	writer & writers=("$!")
}

settle() {
	touch stop
	wait "${writers[@]}" || fail "a writer"
	cmp "$dev" disk
	detach "$dev"
	assert_clean image
	assert_image_is disk image "$1"
	assert_unchanged
}

# all FORMAT OPTIONS: no backing file is left
all() {
	begin "$1" "$2"
	qcowctl stream "$dev"
	assert_attr "$dev" depth 1
	assert_eq "$(backing_of image)" ""
	qcowctl stream "$dev"
	settle "$1"
}

# down_to_base FORMAT OPTIONS
down_to_base() {
	begin "$1" "$2"
	qcowctl stream --base layers/deep/base image
	assert_attr "$dev" depth 2
	assert_eq "$(attr "$dev" backing)" "$PWD/layers/deep/base"
	assert_eq "$(backing_of image)" layers/deep/base
	qcowctl stream --base layers/deep/base image
	settle "$1"
}

random_seed
make_layers
cases=(
	"all qcow2 -"
	"down_to_base qcow2 cluster_size=4K"
	"all qcow2 extended_l2=on,cluster_size=32K"
	"down_to_base qcow2 compat=0.10"
	"all qcow2 compat=0.10,cluster_size=1K"
	"down_to_base qcow2 cluster_size=2M"
	"all qcow2 data_file=image.data"
	"down_to_base qcow2 extended_l2=on"
)
one_in 4 cases
for case in "${cases[@]}"; do
	echo "$case"
	read -r -a words <<<"$case"
	"${words[@]}"
done

# data_of IMAGE: bytes of clusters that have data
data_of() {
	qemu-img map --output json "$1" |
		python3 -c 'import json, sys; print(sum(e["length"] for e in json.load(sys.stdin) if e["data"]))'
}

# space: nothing for holes and zeros; of 12 and 4 MiB of data zeros are over 2, and beside them are
# 1 MiB and two clusters
qemu-img create -q -f qcow2 -b layers/middle -F qcow2 image 48M
qemu-img convert -f qcow2 -O raw image want
dev=$(attach image)
qcowctl stream --progress json image >lines
tail -n 1 lines | grep -qxF '{"job":"stream","done":50331648,"total":50331648}'
cmp "$dev" want
detach "$dev"
assert_eq "$(data_of image)" $((15 * MIB + 2 * 65536))
assert_clean image
assert_image_is want image

# shares KIND: on a file system that can, space is shared with the layers, and nothing is copied
shares() {
	local before after
	"mkfs.$1" -q -f /dev/ram1 >mkfs.log 2>&1 || fail "$(<mkfs.log)"
	mkdir -p there
	mount /dev/ram1 there
	fill there/base 64M
	qemu-img create -q -f qcow2 -b base -F raw there/image 64M
	image_io qcow2 there/image "write -P 7 3M 1M" "write -P 8 22M 4K"
	qemu-img convert -f qcow2 -O raw there/image shared
	dev=$(attach there/image)
	sync -f there
	before=$(df --output=used -B1M there | tail -n 1)
	qcowctl stream "$dev"
	sync -f there
	after=$(df --output=used -B1M there | tail -n 1)
	[[ $((after - before)) -lt 8 ]] || fail "$1: $before MiB used, then $after"
	filefrag -v there/image | grep -q shared || fail "$1: nothing is shared"
	cmp "$dev" shared
	# what is shared is written to
	dd if=data of="$dev" bs=1M seek=10 oflag=direct conv=notrunc status=none
	dd if=data of=shared bs=1M seek=10 conv=notrunc status=none
	cmp "$dev" shared
	detach "$dev"
	fill base 64M
	cmp there/base base
	assert_clean there/image
	assert_image_is shared there/image
	umount there
	wipefs -q -a /dev/ram1
}
modprobe btrfs
modprobe xfs
for kind in xfs btrfs; do
	shares "$kind"
done

# shown, slow, cancelled, interrupted; what is done is not done again
qemu-img create -q -f qcow2 -b layers/middle -F qcow2 image 48M
dev=$(attach image)
running() { [[ $(attr "$dev" job) == stream ]]; }
copied() { [[ $(attr "$dev" job_done) -gt $MIB ]]; }
assert_eq "$(qcowctl job "$dev")" ""
assert_fails "no job is running on it" qcowctl job --cancel "$dev"
qcowctl stream --rate 1M "$dev" 2>errors & pid=$!
wait_for 20 running
wait_for 20 copied
qcowctl job "$dev" | grep -qx 'stream [0-9]*%'
qcowctl list -n --raw -o JOB "$dev" | grep -q 'stream.*%'
assert_fails "stream is running on it" qcowctl resize 64M "$dev"
assert_fails "stream [0-9]*% is running on it.*qcowctl job --cancel" qcowctl detach "$dev"
qcowctl job --wait "$dev" & waits=$!
sleep 1
kill -0 "$waits" || fail "it does not wait"
qcowctl job --cancel "$dev"
wait "$waits"
! wait "$pid" || fail "cancelled, and it says that all is done"
grep -q "stream has been cancelled" errors
assert_attr "$dev" depth 3
assert_attr "$dev" job ""
for signal in INT TERM; do
	# one that runs in the background ignores INT unless told otherwise
	python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' qcowctl stream --rate 1M "$dev" & pid=$!
	wait_for 20 running
	kill -s "$signal" "$pid"
	! wait "$pid" || fail "interrupted, and it says that all is done"
	assert_attr "$dev" job ""
done
qcowctl stream "$dev"
cmp "$dev" want
assert_attr "$dev" depth 1
detach "$dev"
assert_image_is want image

# refused
qemu-img create -q -f qcow2 -b layers/middle -F qcow2 image 48M
dev=$(attach image)
assert_fails "is no backing file of" qcowctl stream --base image "$dev"
assert_fails "cannot be found" qcowctl stream --base absent "$dev"
detach "$dev"
dev=$(attach -r image)
assert_fails "is attached read-only" qcowctl stream "$dev"
detach "$dev"
assert_unchanged
