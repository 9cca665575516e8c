#!/bin/bash
# What a device has goes into the backing file of its image while it is written to: it reads as
# before, the chain is shorter, and the image is empty or gone. It is shown, slowed down, cancelled
# and interrupted, and begins again.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

readonly MIB=$((1 << 20))

# make_base FORMAT OPTIONS: a backing file that is shorter than the disk, on one that is longer than
# itself: data, compressed clusters, zeros over data, holes, and for some a snapshot
make_base() {
	local options=()
	[[ $2 == - ]] || options=(-o "$2")
	rm -f base base.data
	# it ends within a cluster
	qemu-img create -q -f "$1" "${options[@]}" -b deep -F raw base $((30 * MIB + 512))
	image_io "$1" base "write -P 1 2M 3M" "write -P 3 11M 100K" "write -P 5 29M 1M"
	case "$1 $2" in
	*data_file*) ;;
	"qcow "*) image_io "$1" base "write -c -P 2 6M 512" ;;
	*) image_io "$1" base "write -c -P 2 6M 2M" ;;
	esac
	[[ $1 == qcow || $2 == *0.10* || $2 == *data_file* ]] || qemu-img snapshot -c kept base
}

# begin FORMAT OPTIONS: an image on top of base, attached and written to; disk has its bytes
begin() {
	local options=()
	[[ $2 == - ]] || options=(-o "$2")
	rm -f image image.data stop
	qemu-img create -q -f "$1" "${options[@]}" -b base -F "$base_format" image 40M
	image_io "$1" image "write -P 7 3M 1M" "write -P 8 22M 64K" "write -P 9 38M 64K"
	qemu-img convert -f "$1" -O raw image disk
	# version 1 does not say of what format its backing file is
	dev=$(attach --backing-format "$([[ $1 == qcow ]] && echo "$base_format" || echo raw)" image)
	assert_attr "$dev" depth 3
	writer & writers=("$!")
}

# has_nothing IMAGE: all that it reads is another layer's
has_nothing() {
	qemu-img map --output json "$1" | python3 -c 'import json, sys
sys.exit(any(e["depth"] == 0 and e.get("present", True) for e in json.load(sys.stdin)))'
}

# into BASE_FORMAT OPTIONS FORMAT OPTIONS
into() {
	base_format=$1
	make_base "$1" "$2"
	begin "$3" "$4"
	sleep 1
	qcowctl commit "$dev"
	assert_attr "$dev" depth 2
	assert_attr "$dev" image "$PWD/base"
	assert_attr "$dev" backing "$PWD/deep"
	sleep 1
	touch stop
	wait "${writers[@]}" || fail "a writer"
	cmp "$dev" disk
	detach "$dev"
	assert_clean base
	assert_image_is disk base "$1"
	assert_clean image
	assert_image_is disk image "$3"
	[[ $3 == qcow ]] || has_nothing image
	if [[ $(qemu-img snapshot -l base 2>/dev/null) == *kept* ]]; then
		qemu-img convert -l kept -O raw base snapshot
		cmp -n $((30 * MIB)) snapshot as-kept
	fi
	assert_unchanged
}

random_seed
fill deep 36M
keep deep
make_base qcow2 -
qemu-img convert -l kept -O raw base as-kept
cases=(
	"into qcow2 - qcow2 -"
	"into qcow2 cluster_size=4K qcow2 extended_l2=on"
	"into qcow2 cluster_size=2M qcow2 cluster_size=4K"
	"into qcow2 compat=0.10 qcow2 compat=0.10,cluster_size=1K"
	"into qcow2 extended_l2=on,cluster_size=32K qcow2 compat=0.10"
	"into qcow2 data_file=base.data qcow2 -"
	"into qcow - qcow2 cluster_size=512"
	"into qcow2 - qcow2 data_file=image.data"
	"into qcow2 cluster_size=512,refcount_bits=64 qcow -"
)
one_in 4 cases
for case in "${cases[@]}"; do
	echo "$case"
	read -r -a words <<<"$case"
	"${words[@]}"
done

# shares KIND: on a file system that can, space is shared, and little is copied
shares() {
	local before after
	"mkfs.$1" -q -f /dev/ram1 >mkfs.log 2>&1 || fail "$(<mkfs.log)"
	mkdir -p there
	mount /dev/ram1 there
	qemu-img create -q -f qcow2 there/base 64M
	qemu-img create -q -f qcow2 -b base -F qcow2 there/image 64M
	fill data 48M
	image_io qcow2 there/image "write -q -s data 0 48M" "write -P 8 60M 4K"
	qemu-img convert -f qcow2 -O raw there/image shared
	dev=$(attach there/image)
	sync -f there
	before=$(df --output=used -B1M there | tail -n 1)
	qcowctl commit "$dev"
	sync -f there
	after=$(df --output=used -B1M there | tail -n 1)
	# the driver's preallocation may be among it, of 48 MiB
	[[ $((after - before)) -lt 16 ]] || fail "$1: $before MiB used, then $after"
	filefrag -v there/base | grep -q shared || fail "$1: nothing is shared"
	cmp "$dev" shared
	detach "$dev"
	assert_clean there/base
	assert_image_is shared there/base
	assert_clean there/image
	umount there
}
modprobe btrfs
modprobe xfs
for kind in xfs btrfs; do
	shares "$kind"
done

# shown, slow, cancelled, interrupted: the chain is as before, and the backing file can be shared
base_format=qcow2
make_base qcow2 -
begin qcow2 -
running() { [[ $(attr "$dev" job) == commit ]]; }
copied() { [[ $(attr "$dev" job_done) -gt $MIB ]]; }
qcowctl commit --rate 100K "$dev" & pid=$!
wait_for 20 running
kill "$pid"
! wait "$pid" || fail "interrupted, and it says that all is done"
assert_attr "$dev" job ""
assert_attr "$dev" depth 3
qcowctl commit --rate 100K "$dev" 2>errors & pid=$!
wait_for 20 running
wait_for 20 copied
qcowctl job "$dev" | grep -qx 'commit [0-9]*%'
assert_fails "commit is running on it" qcowctl resize 64M "$dev"
assert_fails "commit [0-9]*% is running on it.*qcowctl job --cancel" qcowctl detach "$dev"
qcowctl job --cancel "$dev"
! wait "$pid" || fail "cancelled, and it says that all is done"
grep -q "commit has been cancelled" errors
assert_attr "$dev" depth 3
assert_attr "$dev" job ""
qemu-img create -q -f qcow2 -b base -F qcow2 beside 40M
other=$(attach beside)
assert_fails "base.* in use" qcowctl commit "$dev"
detach "$other"
qcowctl commit --drop --progress json image >lines
tail -n 1 lines | grep -qxF '{"job":"commit","done":41943040,"total":41943040}'
[[ ! -e image ]] || fail "the image is there"
touch stop
wait "${writers[@]}" || fail "a writer"
cmp "$dev" disk
detach "$dev"
assert_clean base
assert_image_is disk base

# refused
refused() {
	assert_fails "$1" qcowctl commit "$dev"
	assert_attr "$dev" depth "$2"
	detach "$dev"
}
qemu-img create -q -f qcow2 alone 1M
dev=$(attach alone)
refused "has no backing file" 1
qemu-img create -q -f qcow2 -b base -F qcow2 shorter 10M
dev=$(attach shorter)
refused "size of the backing file: 41943040, must be at most that of qcow[0-9]*, 10485760" 3
qemu-img create -q -f qcow2 -b base -F qcow2 image 40M
qemu-img snapshot -c one image
dev=$(attach image)
refused "has 1 snapshots" 3
dev=$(attach -r image)
assert_fails "image: is in use" qcowctl commit image
detach "$dev"
assert_fails "image: has 1 snapshots" qcowctl commit image
assert_unchanged
