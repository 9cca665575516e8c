#!/bin/bash
# Images on ext4 on images on ext4, three levels, files in many extents on each, read by
# many while the kernel forgets what it knows of them: right bytes, no lock taken wrongly.
# kernels: debug 6.1
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files

# sparse FILE BLOCKS: every other block is a hole, so each is an extent of its own
sparse() {
	python3 -ES - "$1" "$2" <<'PYTHON'
import os, sys
with open(sys.argv[1], "wb", 0) as f, open("noise0", "rb") as noise:
    for number in range(int(sys.argv[2])):
        noise.seek(number * 100)
        f.seek(number * 8192)
        f.write(noise.read(4096))
PYTHON
}

# scatter FILE: rewrite it so that its blocks lie apart
scatter() {
	python3 -ES - "$1" <<'PYTHON'
import os, sys
with open(sys.argv[1], "rb") as f:
    data = f.read()
os.unlink(sys.argv[1])
with open(sys.argv[1], "wb", 0) as f:
    for first in 0, 4096:
        for at in range(first, len(data), 8192):
            f.seek(at)
            f.write(data[at:at + 4096])
        os.fsync(f.fileno())
PYTHON
}

# level NUMBER SIZE: an image of a file system with what is in files
level() {
	sparse files/sparse 400
	cp files/sparse "sparse$1"
	truncate -s "$2" "fs$1"
	mkfs.ext4 -q -b 4096 -O ^has_journal -d files "fs$1"
	qemu-img convert -f raw -O qcow2 -o cluster_size=4K "fs$1" "image$1"
	rm -f files/*
	mv "image$1" files/image
}

# forget FILE...: drop the page cache, and what ext4 knows of where the files are (with
# EXT4_IOC_CLEAR_ES_CACHE), and now and then all else that can be dropped; then ask for
# what makes ext4 read its own metadata, with its locks held and without a plug
forget() {
	exec python3 -ES - "$@" <<'PYTHON'
import fcntl, os, sys, time
fds = [os.open(name, os.O_RDONLY) for name in sys.argv[1:]]
drop = os.open("/proc/sys/vm/drop_caches", os.O_WRONLY)
count = 0
while True:
    os.pwrite(drop, b"1" if count % 8 else b"3", 0)
    for fd in fds:
        fcntl.ioctl(fd, 0x6628)
    for fd in fds:
        size = os.fstat(fd).st_size
        os.lseek(fd, size * (count % 10) // 10, os.SEEK_HOLE)
    for name in "mnt1", "mnt2":
        os.listdir(name)
    time.sleep(0.05)
    count += 1
PYTHON
}

mkdir files mnt1 mnt2
qemu-img create -q -f qcow2 -o cluster_size=4K files/image 2M
random_writes 2097152 4096 noise text compressed
image_io qcow2 files/image "${WRITES[@]}"
qemu-img convert -O raw files/image image.raw
level 2 12M
level 1 32M
mv files/image image
scatter image

dev1=$(attach -r --cache-size 64K image)
mount -o ro "$dev1" mnt1
dev2=$(attach -r --cache-size 64K mnt1/image)
mount -o ro "$dev2" mnt2
dev3=$(attach -r --cache-size 64K mnt2/image)
for dev in "$dev1" "$dev2" "$dev3"; do
	assert_attr "$dev" direct_io 1
done

readers() { "$QCOW_ROOT/scripts/vm/guest/readers" -s "$((SEED % 100000))" -t 6 -n "$@" & pids+=($!); }
readers 2 "$dev3" image.raw
readers 2 mnt2/sparse sparse2
readers 2 mnt1/sparse sparse1
forget image mnt1/image mnt1/sparse mnt2/image mnt2/sparse &
forgetter=$!
for pid in "${pids[@]}"; do
	wait "$pid"
done
kill "$forgetter"
wait "$forgetter" || true
detach "$dev3"
umount mnt2
detach "$dev2"
umount mnt1
detach "$dev1"
