#!/bin/bash
# An overlay takes the place of an image that is mounted and written to: what was written before is
# in the image, clean, and read-only for others; what comes after is in the overlay.
# kernels: 6.12 6.1 debug 7.3
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

size_of() { blockdev --getsize64 "$1"; }

echo "mounted, under load"
qemu-img create -q -f qcow2 -o cluster_size=16K base 256M
chmod 640 base
dev=$(attach base)
sfdisk -q "$dev" <<<$'label: gpt\nsize=200M\nsize=40M\n'
wait_for 10 test -b "${dev}p2"
mkfs.ext4 -q "${dev}p1"
mkdir mnt
mount "${dev}p1" mnt
# raw writes to the other partition: block N of a round has N and the round in it
writer() {
	local i=0
	until [[ -e stop ]]; do
		i=$((i + 1))
		dd if=/dev/urandom of="mnt/$1.$((i % 5))" bs=64K count=40 conv=fsync status=none
		sha256sum "mnt/$1.$((i % 5))" >"sum.$1.$((i % 5))"
	done
}
raw_writer() {
	until [[ -e stop ]]; do
		fill block 4M "$RANDOM"
		dd if=block of="${dev}p2" bs=256K oflag=direct conv=notrunc status=none
		cp block block.last
	done
}
for w in a b; do writer "$w" & done
raw_writer &
top=base
# where it is slow, once
rounds=3
[[ $QCOW_KERNEL != debug ]] || rounds=1
for ((i = 1; i <= rounds; i++)); do
	sleep 1
	echo "state $i" >mnt/synced
	qcowctl overlay "$dev" "over$i"
	assert_eq "$(attr "$dev" image)" "$PWD/over$i"
	assert_eq "$(attr "$dev" backing)" "$PWD/$top"
	assert_attr "$dev" depth $((i + 1))
	assert_eq "$(size_of "$dev")" $((256 << 20))
	assert_eq "$(attr "$dev" image_id)" "$(stat -c '%Hd:%Ld:%i' "over$i")"
	# what was synced is in the layer, whose file systems are clean
	assert_clean "$top"
	layer=$(attach -r "$top")
	assert_attr "$layer" shared_layers "$i"
	e2fsck -fn "${layer}p1" >e2fsck.log 2>&1 || fail "e2fsck: $(<e2fsck.log)"
	assert_fails "" grep -q needs_recovery <(dumpe2fs -h "${layer}p1" 2>/dev/null)
	mkdir -p below
	mount -o ro "${layer}p1" below
	assert_eq "$(<below/synced)" "state $i"
	umount below
	detach "$layer"
	assert_fails "Failed to get .*lock" qemu-io -c "write 0 512" "$top"
	assert_fails "Failed to get .*lock" qemu-io -r -c "read 0 512" "over$i"
	top=over$i
done
assert_eq "$(stat -c %a "$top")" 640 "mode of the overlay"
touch stop
wait
umount mnt
cmp -n $((4 << 20)) "${dev}p2" block.last
detach "$dev"
assert_clean base over*
assert_eq "$(qemu-img info --backing-chain "$top" | grep -c "^image:")" $((rounds + 1)) \
	"layers for QEMU"
assert_match "$(qemu-img info "$top")" "backing file: (base|over2)"
assert_match "$(qemu-img info "$top")" "backing file format: qcow2"
assert_match "$(qemu-img info "$top")" "cluster_size: 16384"
dev=$(attach -r "$top")
assert_same_content "$dev" "$top"
e2fsck -fn "${dev}p1" >e2fsck.log 2>&1 || fail "e2fsck: $(<e2fsck.log)"
mount -o ro "${dev}p1" mnt
sha256sum -c --quiet sum.*.*
umount mnt
detach --wait 10 "$dev"
rm -f over* base sum.* stop

echo "a second device on the same state"
qemu-img create -q -f qcow2 base.qcow2 64M
dev=$(attach base.qcow2)
mkfs.ext4 -q "$dev"
mount "$dev" mnt
echo common >mnt/file
other=$(qcowctl fork "$dev" other.qcow2 2>said)
assert_match "$(<said)" "$dev: goes on in $PWD/base-1.qcow2"
assert_attr "$other" depth 2
assert_attr "$other" shared_layers 1
assert_eq "$(attr "$dev" image)" "$PWD/base-1.qcow2"
mkdir second
mount "$other" second
assert_eq "$(<second/file)" common
echo first >mnt/file
echo second >second/file
third=$(qcowctl fork --own here.qcow2 "$other" third.qcow2 2>/dev/null)
fourth=$(qcowctl fork "$dev" fourth.qcow2 2>said)
assert_match "$(<said)" "goes on in $PWD/base-2.qcow2"
for d in "$third" "$fourth"; do
	e2fsck -fn "$d" >e2fsck.log 2>&1 || fail "e2fsck: $(<e2fsck.log)"
done
umount mnt second
for pair in "$third second" "$fourth first"; do
	mount -o ro "${pair% *}" mnt
	assert_eq "$(<mnt/file)" "${pair#* }"
	umount mnt
done
for d in "$dev" "$other" "$third" "$fourth"; do detach "$d"; done
assert_clean ./*.qcow2
rm ./*.qcow2
