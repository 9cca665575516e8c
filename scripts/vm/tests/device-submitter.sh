#!/bin/bash
# Neither a signal nor a limit of the process that waits for an I/O decides what becomes of it, when
# the image is read and written through the page cache: not one that kills it, as the block may
# be one of a file system's that everybody uses; not a limit of its memory, which the page cache
# of the file counts in, nor one of the length of its files.
# kernels: 6.12
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

truncate -s 256M fs
mkfs.ext4 -q -O ^dir_index fs
tune2fs -e remount-ro fs >/dev/null
mkdir mnt
mount -o loop fs mnt
mkdir mnt/big
# a file system reads a directory without an index from one end to the other
python3 -S - <<'PY'
for number in range(1500):
    open(f"mnt/big/{number:08}-{'x' * 240}", "w").close()
PY
umount mnt
qemu-img convert -f raw -O qcow2 fs image
dev=$(attach --direct-io off image)
mount "$dev" mnt

python3 -S - <<'PY'
import os
import signal
import time
from _random import Random

SECONDS = 12

random = Random(1)
killed = 0
begin = time.monotonic()
while time.monotonic() < begin + SECONDS:
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")
    pid = os.fork()
    if not pid:
        try:
            os.stat("mnt/big/none")
        finally:
            os._exit(0)
    time.sleep(random.random() * 0.05)
    os.kill(pid, signal.SIGKILL)
    killed += os.waitpid(pid, 0)[1] != 0
print(f"{killed} readers killed")
if killed < 20:
    raise SystemExit("too few: this tests nothing")
PY
assert_match "$(grep " $PWD/mnt " /proc/mounts)" ' rw,' "the file system"
touch mnt/more
umount mnt
assert_not_logged 'I/O error|EXT4-fs error'
detach "$dev"

# a process that has all the memory that it may have, and that is not killed for more
echo "+io +memory" >/sys/fs/cgroup/cgroup.subtree_control
group=/sys/fs/cgroup/narrow
mkdir "$group"
trap 'rmdir "$group"' EXIT
fill data 4M
fill other 4M 2
qemu-img convert -f raw -O qcow2 data image
cat >user.py <<'PY'
"""user.py read|write DEVICE FILE: says when it is ready, what became of it, and waits in between."""
import ctypes
import mmap
import os
import resource
import sys

way, dev, name = sys.argv[1:]
fd = os.open(dev, os.O_RDWR | os.O_DIRECT)
with open(name, "rb") as f:
    want = f.read()
buffer = mmap.mmap(-1, len(want))
if way == "write":
    buffer[:] = want
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
move, answers, buffers = getattr(os, f"p{way}v"), [b"%d" % n for n in range(256)], [buffer]
# it needs no page from now on
if ctypes.CDLL(None).mlockall(1):
    sys.exit("mlockall")
os.write(1, b"ready")
os.read(0, 1)
try:
    move(fd, buffers, 0)
    answer = answers[0]
except OSError as e:
    answer = answers[e.errno]
os.write(1, answer)
os.read(0, 1)
sys.exit(buffer[:] != want)
PY
cat >limit.py <<'PY'
import os
import select
import sys

group, dev = sys.argv[1:]


def put(path, value):
    with open(path, "w") as f:
        f.write(value)


def get(name):
    with open(f"{group}/{name}") as f:
        return f.read()


for way, name in ("read", "data"), ("write", "other"):
    go, said = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        put(f"{group}/cgroup.procs", str(os.getpid()))
        put("/proc/self/oom_score_adj", "-1000")
        os.dup2(go[0], 0)
        os.dup2(said[1], 1)
        os.execvp("python3", ["python3", "-S", "user.py", way, dev, name])
    os.close(said[1])
    os.read(said[0], 9)
    # what is in the page cache already is paid for
    put("/proc/sys/vm/drop_caches", "3")
    put(f"{group}/memory.max", get("memory.current"))
    os.write(go[1], b"g")
    in_time = select.select([said[0]], [], [], 10)[0]
    put(f"{group}/memory.max", "max")
    answer = os.read(said[0], 9)
    os.write(go[1], b"g")
    status = os.waitpid(pid, 0)[1]
    met = dict(line.split() for line in get("memory.events").splitlines())["max"]
    print(f"{way}: error {answer.decode()}, status {status}, limit met {met} times")
    if answer != b"0" or status or not in_time:
        sys.exit("failed")
    if met == "0":
        sys.exit("this tests nothing")
PY
dev=$(attach --direct-io off image)
sync -f .
python3 -S limit.py "$group" "$dev"
detach "$dev"
assert_image_is other image
