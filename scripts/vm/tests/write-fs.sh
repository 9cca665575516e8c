#!/bin/bash
# ext4, XFS and (where the kernel has it) btrfs on a device: trees copied, changed and
# removed are what they should be, also after detach and attach, the file system has no
# errors and the image none; so has fio, which verifies what it wrote.
# kernels: 6.12 7.3
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"

modprobe xfs
kinds=(ext4 xfs)
# the debug kernel has no btrfs
! modprobe btrfs 2>/dev/null || kinds+=(btrfs)
random_seed
mkdir mnt tree
cp -r "$QCOW_ROOT"/{Documentation,drivers,include,kunit} tree/
fill tree/large 3M

# change DIRECTORY: much of what a file system can do
change() {
	cp -r tree "$1/one" || return 1
	cp -r "$1/one" "$1/two" && mv "$1/two/drivers" "$1/moved" && rm -r "$1/two" || return 1
	ln "$1/one/large" "$1/linked"
	python3 -ES - "$1" "$SEED" <<'PYTHON'
import os
import sys
from _random import Random

top, seed = sys.argv[1], int(sys.argv[2])
random = Random(seed)
sizes = {}
for step in range(250):
    name = f"{top}/f{int(random.random() * 40)}"
    dice = random.random()
    with open(name, "ab+", 0) as f:
        size = f.seek(0, os.SEEK_END)
        if dice < 0.6:
            f.seek(0)
            os.pwrite(f.fileno(), bytes([step & 255]) * int(random.random() ** 3 * 60000),
                      int(random.random() * (size + 10000)))
        elif dice < 0.75:
            os.truncate(name, int(random.random() * 2 * (size + 1)))
        elif dice < 0.85:
            os.fsync(f.fileno())
    if dice > 0.93:
        os.unlink(name)
os.sync()
PYTHON
}

fsck_of() {
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	btrfs) btrfs check --readonly "$2" ;;
	esac
}

for kind in "${kinds[@]}"; do
	options=(-o cluster_size=64K)
	[[ $kind != ext4 ]] || options=(-o cluster_size=4K)
	qemu-img create -q -f qcow2 "${options[@]}" image 400M
	dev=$(attach image)
	if [[ $kind == ext4 ]]; then
		mkfs.ext4 -q "$dev"
	else
		"mkfs.$kind" -q -f "$dev"
	fi
	mount -o discard "$dev" mnt
	change mnt || fail "$kind: a program failed"
	fstrim mnt
	cp -r mnt expected
	umount mnt
	output=$(fsck_of "$kind" "$dev" 2>&1) || fail "$kind: $output"
	detach "$dev"
	assert_clean image
	dev=$(attach image)
	mount "$dev" mnt
	diff -r expected mnt || fail "the files on $kind differ"
	rm -r mnt/one mnt/moved
	umount mnt
	output=$(fsck_of "$kind" "$dev" 2>&1) || fail "$kind: $output"
	detach "$dev"
	assert_clean image
	rm -r image expected
	echo "$kind: $SECONDS s"
done

for options in cluster_size=4K extended_l2=on; do
	qemu-img create -q -f qcow2 -o "$options" image 32M
	dev=$(attach image)
	fio_verified "$dev" 32M --io_size=6M --fsync=64
	detach "$dev"
	assert_clean image
	rm image
	echo "fio $options: $SECONDS s"
done
