#!/bin/bash
# The image of a device is compacted while it is written to: the device reads as before, the file is
# about as short as if it had been compacted when it was not attached, and QEMU finds nothing wrong.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

readonly MIB=$((1 << 20))

is_compacted() { qcowctl list -n --raw -o JOB "$dev" | grep -q 'compact.*%'; }

stop_writers() {
	touch stop
	wait "${writers[@]}" || fail "a writer"
	rm stop
}

length() { stat -c %s image; }

# begin OPTIONS HAS: attached; much of what it had at its beginning is free
begin() {
	rm -f ./image* ./disk ./stop
	qemu-img create -q -f qcow2 ${1:+-o "$1"} image $((40 * MIB + 2560))
	case $2 in
	compressed) image_io qcow2 image "write -q -c -P 5 20M 10M" ;;
	snapshot)
		image_io qcow2 image "write -q -P 5 35M 2M"
		qemu-img snapshot -c one image
		;;
	esac
	dev=$(attach image)
	[[ $2 == compressed ]] || dd if=data of="$dev" bs=1M oflag=direct status=none
	dd if=data of="$dev" bs=1M count=4 seek=30 oflag=direct status=none
	blkdiscard -l $((16 * MIB)) "$dev"
	dd if="$dev" of=disk bs=1M iflag=fullblock status=none
}

random_seed
fill data 24M
kinds=("cluster_size=512 plain" "cluster_size=4K,refcount_bits=64 plain" "cluster_size=64K plain"
	"cluster_size=64K snapshot" "cluster_size=64K compressed" "cluster_size=4K compressed"
	"extended_l2=on plain" "cluster_size=2M plain" "compat=0.10,cluster_size=1K snapshot"
	"refcount_bits=1,cluster_size=1K plain" "data_file=image.data plain")
one_in "$([[ $QCOW_KERNEL == debug ]] && echo 8 || echo 4)" kinds
for kind in "${kinds[@]}"; do
	read -r options has <<<"$kind"
	echo "$kind"
	begin "$options" "$has"
	writers=()
	writer & writers+=("$!")
	assert qcowctl compact -q "$dev"
	assert qcowctl compact -q --rate 64M image
	stop_writers
	cmp -n $((40 * MIB + 2560)) "$dev" disk
	qcowctl compact "$dev"
	cmp -n $((40 * MIB + 2560)) "$dev" disk
	assert qcowctl check -q "$dev"
	detach "$dev"
	assert_clean image
	assert_image_is disk image qcow2
	cp --sparse=always image again
	[[ ! -e image.data ]] || cp image.data again.data
	before=$(length)
	assert qcowctl compact -q image
	echo "$before bytes, $(length) once compacted detached"
	[[ $has == snapshot || $before -le $(($(length) + 4 * MIB)) ]] ||
		fail "$before bytes, and could have $(length)"
done

echo "tables alone: where a bitmap has been there is a gap"
rm -f ./image* ./disk
qemu-img create -q -f qcow2 -o data_file=image.data,cluster_size=512 image 32M
dev=$(attach image)
qcowctl bitmap --add -g 512 "$dev" one
dd if=data of="$dev" bs=1M count=8 oflag=direct status=none
detach "$dev"
dev=$(attach image)
dd if=data of="$dev" bs=1M count=8 seek=16 oflag=direct status=none
qcowctl bitmap --remove "$dev" one
dd if="$dev" of=disk bs=1M status=none
before=$(length)
qcowctl compact "$dev"
[[ $(length) -le $((before - 8192)) ]] || fail "$before bytes, then $(length)"
cmp "$dev" disk
detach "$dev"
assert_clean image
assert_image_is disk image qcow2

echo "on a block device: all moves, nothing is cut, and it takes new clusters in front"
image_end() { qcowctl check "$1" | sed -n 's/^Image end offset: //p'; }
qemu-img create -q -f qcow2 -o cluster_size=4K /dev/ram1 32M
dev=$(attach /dev/ram1)
dd if=data of="$dev" bs=1M oflag=direct status=none
blkdiscard -l $((16 * MIB)) "$dev"
sha256sum "$dev" >sum
assert qcowctl compact -q "$dev"
sha256sum -c --quiet sum
detach "$dev"
assert_clean /dev/ram1
[[ $(image_end /dev/ram1) -le $((9 * MIB)) ]] || fail "$(qcowctl check /dev/ram1)"
wipefs -q -a /dev/ram1

echo "a file system in use, and a snapshot that is read beside it"
rm -f ./image*
qemu-img create -q -f qcow2 -o cluster_size=4K image 160M
dev=$(attach image)
mkfs.ext4 -q "$dev"
mkdir -p mnt
mount "$dev" mnt
for i in 1 2 3; do cp data "mnt/$i"; done
sync -f mnt
qcowctl snapshot -q -c one "$dev"
beside=$(qcowctl attach -r --snapshot one image)
sha256sum "$beside" >sum
rm mnt/1
cp data mnt/4
sync -f mnt
fstrim mnt
while [[ ! -e stop ]]; do
	cp data mnt/5
	cmp mnt/5 data
done & writers=("$!")
for i in 1 2; do
	while [[ ! -e stop ]]; do
		dd if=data of="mnt/sync$i" bs=4K count=16 oflag=dsync status=none
	done & writers+=("$!")
done
assert qcowctl compact -q "$dev"
sha256sum -c --quiet sum
stop_writers
qcowctl detach "$beside"
rm mnt/4 mnt/5 mnt/sync?
qcowctl snapshot -q -d one "$dev"
sync -f mnt
fstrim mnt
long=$(length)
qcowctl compact --progress json image >lines
tail -n 1 lines | grep -qxF '{"job":"compact","done":167772160,"total":167772160}'
[[ $(length) -lt $((long - 32 * MIB)) ]] || fail "$long bytes, then $(length)"
for i in 2 3; do cmp "mnt/$i" data; done
umount mnt
assert qcowctl check -q "$dev"
e2fsck -fn "$dev" >/dev/null 2>&1 || fail "e2fsck: $(e2fsck -fn "$dev" 2>&1)"

echo "slow, cancelled, interrupted"
wipefs -q -a "$dev"
blkdiscard "$dev"
for i in 0 1 2 3; do
	dd if=data of="$dev" bs=1M seek=$((24 * i)) oflag=direct status=none
done
blkdiscard -l $((72 * MIB)) "$dev"
sha256sum "$dev" >sum
assert_eq "$(qcowctl job "$dev")" ""
qcowctl compact --rate 1M "$dev" 2>errors & pid=$!
wait_for 20 is_compacted
assert_refused 6 "compact is running" qcowctl snapshot -c two "$dev"
assert_refused 6 "compact [0-9]*% is running" qcowctl detach "$dev"
qcowctl job --cancel "$dev"
! wait "$pid" || fail "cancelled, and it says that all is done"
grep -q "compact has been cancelled" errors || fail "$(<errors)"
qcowctl compact --rate 1M "$dev" & pid=$!
wait_for 20 is_compacted
kill "$pid"
! wait "$pid" || fail "interrupted, and it says that all is done"
wait_for 20 qcowctl snapshot -q -c two "$dev"
qcowctl snapshot -q -d two "$dev"
begun=$SECONDS
assert qcowctl compact -q --rate 4M "$dev"
[[ $((SECONDS - begun)) -ge 3 ]] || fail "24 MiB in $((SECONDS - begun)) s, at 4 MiB a second"
sha256sum -c --quiet sum
detach "$dev"
assert_clean image
[[ $(length) -lt $((32 * MIB)) ]] || fail "$(length) bytes"

echo "refused"
dev=$(attach -r image)
assert_fails "is attached read-only" qcowctl compact "$dev"
detach "$dev"
dev=$(attach image)
assert_refused 6 "cannot be compressed now" qcowctl compact --compress zlib "$dev"
detach "$dev"
qemu-img create -q -f qcow image 8M
dev=$(attach image)
assert_refused 5 "version 1 is compacted when it is detached" qcowctl compact image
detach "$dev"
rm image
qemu-img create -q -f qcow2 -o cluster_size=4K image 8M
image_io qcow2 image "write -q -P 3 0 4M"
python3 -ES "$QCOW_ROOT/tools/qcowctl/tests/fault.py" low-data image
dev=$(attach image)
assert_refused 4 "is corrupt" qcowctl compact "$dev"
detach "$dev"
