#!/bin/bash
# attach --compress: clusters that are written as a whole take little more space than qemu-img
# convert -c takes for them; QEMU reads what the device gave; what does not become smaller stays as it is.
# kernels: 6.12 6.1 debug 7.3
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

# compressed IMAGE: how many clusters are, by QEMU
compressed() {
	qemu-img check --output=json "$1" |
		python3 -ES -c 'import json, sys; print(json.load(sys.stdin).get("compressed-clusters", 0))'
}

# text MIB: something that can be compressed, each time something else
text() { seq "$RANDOM$RANDOM" 1000000000 | head -c "${1}M" || true; }

whole() { dd of="$dev" bs=1M seek="$1" iflag=fullblock oflag=direct status=none; }

# the file system in image has the files that it had
assert_files() {
	dev=$(attach -r image)
	mount -o ro "$dev" mnt
	(cd mnt && sha256sum -c --quiet <(grep -v lost ../sums))
	umount mnt
	detach "$dev"
}

random_seed
text 4 >disk
for type in zlib zstd; do
	echo "$type"
	rm -f ./image* ./again*
	qemu-img create -q -f qcow2 -o "compression_type=$type" image 16M
	truncate -s 16M disk
	dev=$(attach --compress "$type" image)
	assert_attr "$dev" compress "$type"
	head -c 4M disk | whole 0
	cmp -n $((16 << 20)) disk "$dev"
	detach "$dev"
	assert_clean image
	assert_image_is disk image qcow2
	assert_eq "$(compressed image)" 64 "clusters"
	head -c 4M disk >part
	qemu-img convert -c -O qcow2 -o "compression_type=$type" part again
	room=$(($(stat -c %s again) * 102 / 100 + (256 << 10)))
	[[ $(stat -c %s image) -le $room ]] || fail "$(stat -c %s image) bytes, at most $room"

	echo "$type: noise, parts of clusters, and the same once more"
	dev=$(attach --compress "$type" image)
	fill noise 1M
	whole 8 <noise
	dd if=noise of=disk bs=1M seek=8 conv=notrunc status=none
	dd if=noise of="$dev" bs=4K seek=100 count=3 oflag=direct status=none
	dd if=noise of=disk bs=4K seek=100 count=3 conv=notrunc status=none
	text 2 >other
	whole 2 <other
	dd if=other of=disk bs=1M seek=2 conv=notrunc status=none
	cmp -n $((16 << 20)) disk "$dev"
	detach "$dev"
	assert_clean image
	assert_image_is disk image qcow2
	# 16 of noise were not there before; one was a part of one
	assert_eq "$(compressed image)" 63 "clusters, afterwards"

	echo "$type: QEMU goes on, and then the driver"
	qemu-io -c 'write -P 5 1M 1M' -c 'discard 3M 1M' image >/dev/null
	qemu-img convert -O raw image disk
	dev=$(attach --compress "$type" image)
	cmp -n $((16 << 20)) disk "$dev"
	blkdiscard "$dev"
	detach "$dev"
	assert_clean image
	assert_eq "$(compressed image)" 0 "clusters, once discarded"
	truncate -s 4M disk
	text 4 >disk
done

echo "refused"
qemu-img create -q -f qcow2 -o data_file=data image.data 1M
qemu-img create -q -f qcow image.v1 1M
qemu-img create -q -f qcow2 image 1M
assert_refused 5 "compression_type is zlib, zstd is asked for" qcowctl attach --compress zstd image
assert_refused 5 "external data file" qcowctl attach --compress zlib image.data
assert_refused 5 "version 1" qcowctl attach --compress zlib image.v1
qemu-img create -q -f qcow2 -o cluster_size=512 image.small 1M
assert_refused 5 "no larger than a block" qcowctl attach --direct-io on --compress zlib image.small
assert_refused 1 "'lzo' is neither zlib nor zstd" qcowctl attach --compress lzo image
assert_refused 1 "read-only" qcowctl attach -r --compress zlib image

echo "no space"
mkdir -p full
mount -t tmpfs -o size=3M tmpfs full
qemu-img create -q -f qcow2 -o preallocation=full full/image 2M
head -c 1G /dev/zero >full/rest 2>/dev/null || true
dev=$(attach --compress zlib full/image)
text 2 | dd of="$dev" bs=64K iflag=fullblock oflag=direct status=none
sync "$dev"
detach "$dev"
assert_clean full/image
umount full

echo "a file system, while snapshots come and go"
qemu-img create -q -f qcow2 image 64M
dev=$(attach --compress zlib image)
assert_refused 6 "cannot be compressed now" qcowctl compact --compress zlib image
assert_refused 6 "cannot be compressed now" qcowctl compact --compress zlib "$dev"
mkfs.ext4 -q "$dev"
mkdir -p mnt
mount "$dev" mnt
for i in 1 2 3 4 5 6; do
	text 3 >"mnt/$i"
	qcowctl snapshot -q -c "s$i" "$dev" &
	text 2 >"mnt/$((i % 3))"
	wait "$!"
	[[ $i -lt 4 ]] || qcowctl snapshot -q -d "s$((i - 3))" "$dev"
done
(cd mnt && sha256sum ./* >../sums 2>/dev/null) || true
umount mnt
detach "$dev"
assert_clean image
assert_files

echo "compacted"
qcowctl compact image
assert_clean image
assert_files

# shellcheck disable=SC2034 # for model.sh
attach_options=(--compress zlib) cases=("qcow2 - 64K mixed" "qcow2 compat=0.10 4K snapshot"
	"qcow2 extended_l2=on 16K on-raw" "qcow2 refcount_bits=1 4K compressed"
	"qcow2 refcount_bits=2 4K mixed" "qcow2 - 1K empty" "qcow2 - 2M mixed"
	"qcow2 - 64K on-qcow2")
model_cases 4
