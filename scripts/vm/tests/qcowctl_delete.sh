#!/bin/bash
# detach --delete removes the image and its data file, and nothing else: never a backing file,
# a block device, another file at that path, nor what something else uses.
# kernels: 6.12
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

fresh() {
	rm -f base image data.raw
	qemu-img create -q -f qcow2 base 1M
	qemu-img create -q -f qcow2 -b base -F qcow2 -o data_file=data.raw,data_file_raw=off image
}

fresh
dev=$(attach image)
detach --delete "$dev"
[[ ! -e image && ! -e data.raw && -e base && ! -e $dev ]] || fail "left: $(ls)"

# by its path, attached twice; a hard link stays
fresh
ln image hard
attach -r image >/dev/null
attach -r image >/dev/null
qcowctl detach --delete image 2>err
grep -q 'image: warning: is removed, but the file has another name' err || fail "$(cat err)"
[[ ! -e image && ! -e data.raw && -e base && -e hard ]] || fail "left: $(ls)"
assert_eq "$(qcowctl list)" '' list
rm hard

# refused, and nothing is detached: busy, of another device too, a block device
fresh
dev=$(attach -r image)
other=$(attach -r image)
assert_refused 6 "image: $other has it, too" qcowctl detach --delete "$dev"
detach "$other"
exec {fd}<"$dev"
assert_refused 6 'image: is not deleted' qcowctl detach --delete "$dev"
exec {fd}<&-
# another file at that path
mkdir covered
mv image covered/image
mount -t tmpfs none covered
echo other >covered/image
assert_refused 9 "covered/image: is not the file that qcow0 has" qcowctl detach --delete "$dev"
umount covered
mv covered/image image
ln image kept
rm image
assert_refused 9 "image.*cannot find what qcow0 has" qcowctl detach --delete "$dev"
assert_eq "$(qcowctl list -n --raw -o NAME)" "$dev" "what is attached"
detach "$dev"
mv kept image
[[ -e image && -e data.raw ]] || fail "left: $(ls)"

qemu-img create -q -f qcow2 on-disk 1M
dd if=on-disk of=/dev/ram1 bs=64K conv=fsync status=none
dev=$(attach -r /dev/ram1)
assert_refused 7 'ram1: is a block device, which is not deleted' qcowctl detach --delete /dev/ram1
[[ -b $dev && -b /dev/ram1 ]] || fail "something is gone"
detach "$dev"

# detached, but not deleted: an overlay stands on it, the directory takes no change
dev=$(attach -r image)
qemu-img create -q -f qcow2 -b image -F qcow2 over
over=$(attach -r over)
assert_refused 6 'image: is detached, but not deleted' qcowctl detach --delete "$dev"
[[ ! -e $dev && -e image && -e data.raw ]] || fail "left: $(ls)"
detach --delete "$over"
[[ ! -e over && -e image && -e base ]] || fail "left: $(ls)"
mkdir fixed
cp on-disk fixed/image
dev=$(attach fixed/image)
chattr +i fixed
assert_refused 2 'image: cannot remove: .*is detached, but not deleted' \
	qcowctl detach --delete "$dev"
chattr -i fixed
[[ ! -e $dev && -e fixed/image ]] || fail "left: $(ls fixed)"
