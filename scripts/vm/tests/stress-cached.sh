#!/bin/bash
# Images that are read through the page cache, on a block device, on ext4 and on an ext4
# inside another, with readers through the page cache above: no lock taken wrongly.
# kernels: debug
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
mkdir files mnt
qemu-img create -q -f qcow2 -o cluster_size=4K files/image 2M
random_writes 2097152 4096 noise text compressed
image_io qcow2 files/image "${WRITES[@]}"
qemu-img convert -O raw files/image image.raw
truncate -s 12M fs
mkfs.ext4 -q -O ^has_journal -d files fs
qemu-img convert -f raw -O qcow2 -o cluster_size=4K fs image
dd if=image of=/dev/ram1 bs=64K conv=fsync status=none

# nested IMAGE: the image in the file system in it
nested() {
	local below dev
	below=$(attach -r --direct-io off "$1")
	assert_attr "$below" direct_io 0
	SEED=$((SEED + 1)) assert_same_reads -n 20 "$below" fs
	mount -o ro "$below" mnt
	dev=$(attach -r --direct-io off mnt/image)
	"$QCOW_ROOT/scripts/vm/guest/readers" -s "$((SEED % 100000))" -t 4 "$dev" image.raw &
	while kill -0 $! 2>/dev/null; do
		echo 3 >/proc/sys/vm/drop_caches
		sleep 0.2
	done
	wait $!
	detach "$dev"
	umount mnt
	detach "$below"
}

nested image
nested /dev/ram1
