#!/bin/bash
# The image of a machine that was running mounts read-only without its journal, and a second XFS
# with the same UUID mounts, too; each is said.
# kernels: 6.12 6.1 7.3
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/mount.sh"

modprobe xfs
modprobe btrfs
mkdir live copy
# running TYPE IMAGE: mounts it and copies it as it is then
running() {
	mount -t qcow2 "$2" live
	echo more >live/more
	sync live/more
	cp --sparse=always "$2" "$2.copy"
}
# says REGEX COMMAND...: it succeeds, and says so
says() {
	"${@:2}" 2>said || fail "$* failed: $(<said)"
	assert_match "$(<said)" "$1"
}

make_fs ext4 ext4 32M
running ext4 ext4
cp ext4.copy before
says 'mounted with noload: .*not replayed' qcowctl mount -r ext4.copy copy
assert_eq "$(<copy/data)" "ext4 ext4"
umount copy
cmp ext4.copy before || fail "it was written to"
mount -t qcow2 ext4.copy copy 2>said
[[ ! -s said ]] || fail "it said: $(<said)"
assert_eq "$(<copy/more)" more
umount copy
umount live

make_fs xfs xfs 320M
running xfs xfs
says 'mounted with nouuid: .*UUID.*mounted with norecovery' mount -t qcow2 -o ro xfs.copy copy
assert_eq "$(<copy/data)" "xfs xfs"
umount copy
says 'mounted with nouuid' mount -t qcow2 xfs.copy copy
assert_eq "$(<copy/more)" more
umount copy live
says '^$' qcowctl mount -o nouuid xfs.copy copy
umount copy

make_fs btrfs btrfs 128M
running btrfs btrfs
umount live
says 'mounted with rescue=nologreplay' qcowctl mount -r btrfs.copy copy
assert_eq "$(<copy/data)" "btrfs btrfs"
umount copy
says '^$' qcowctl mount -o compress=zstd btrfs.copy copy
grep -q "$PWD/copy btrfs .*compress=zstd" /proc/self/mounts
assert_eq "$(<copy/more)" more
umount copy
no_device "in the end"
