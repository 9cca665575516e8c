#!/bin/bash
# The control node refuses every argument that it does not know or that makes
# no sense, with the error and the text that fit, and takes shorter and longer
# structures as its header says.
# kernels: 6.12 7.3
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 1M
qemu-img snapshot -c one image
qemu-img create -q -f qcow2 -u -b image -F qcow2 overlay 1M
qemu-img create -q -f qcow2 --object secret,id=s,data=0123456789abcdef \
	-o encrypt.format=aes,encrypt.key-secret=s crypt 1M
python - <<'PY'
import errno
import fcntl
import os
import struct

import qcowdev as q
from qcowdev import accepted, expect, refused

fd = os.open("image", os.O_RDONLY)
image = (fd,)
cpus = os.sysconf("SC_NPROCESSORS_CONF")

# numbers of ioctls
expect("another type", q.call(q.command(3, 1, q.ATTACH_BYTES, 0xC4), bytearray(64)), errno.ENOTTY)
for number in (0, 99, 255):
    expect(f"number {number}", q.call(q.command(3, number, 64), bytearray(64)), errno.ENOTTY)
expect("an address nobody has", q.call(q.ATTACH, 8), errno.EFAULT)
expect("detach: an address nobody has", q.call(q.DETACH, 8), errno.EFAULT)

# sizes of structures; that in the number of the ioctl does not matter
for size in (0, 3, 4097, 0xffffffff):
    refused(f"size {size}", errno.EINVAL, image, size=size)
    expect(f"detach: size {size}", q.detach(0, size=size), errno.EINVAL)
refused("size 4: nothing but zeros", errno.EINVAL, image, size=4)
accepted("no cache_bytes yet", image, size=48)
accepted("no digests yet", image, size=56)
accepted("longer, zeros", image, size=q.ATTACH_BYTES + 40, tail=bytes(40))
refused("longer, not all zeros", errno.E2BIG, image, size=q.ATTACH_BYTES + 40,
        tail=bytes(39) + b"\1")
accepted("another size in the number", image, request=q.command(3, 1, 8))
expect("detach: longer, not all zeros",
       q.detach(0, size=q.DETACH_BYTES + 8, tail=b"\0\0\0\0\1\0\0\0"), errno.E2BIG)
expect("detach: longer, zeros", q.detach(0, size=q.DETACH_BYTES + 8, tail=bytes(8)),
       errno.ENXIO, "is not attached")

# fields of attach
for bit in range(11, 32):
    refused(f"flag {bit}", errno.EINVAL, image, flags=q.READ_ONLY | 1 << bit,
            text=f"unknown flags 0x{1 << bit:x}")
refused("direct and buffered", errno.EINVAL, image,
        flags=q.READ_ONLY | q.DIRECT | q.BUFFERED, text="exclude each other")
refused("zeros given back, and not looked for", errno.EINVAL, image,
        flags=q.READ_ONLY | 256, text="only where they are detected")
refused("zeros given back and kept", errno.EINVAL, image,
        flags=q.READ_ONLY | 128 | 256 | 1024, text="both give their space back and keep it")
refused("compressed, and space kept", errno.EINVAL, image,
        flags=q.READ_ONLY | 512 | 1024, text="compressed give their space back")
refused("read-write", errno.EBADF, image, flags=0, text="not open for writing")
refused("no layers", errno.EINVAL, text="layers: 0")
refused("too many layers", errno.EINVAL, image, nr_layers=4097, text="layers: 4097")
refused("layers nowhere", errno.EFAULT, image, layers_at=8)
refused("layers reach into nowhere", errno.EFAULT, image, nr_layers=4096,
        layers_at=(1 << 47) - 4096 - 16)
refused("device number", errno.EINVAL, image, index=1 << 20, text="device number: 1048576")
refused("queues", errno.EINVAL, image, nr_queues=cpus + 1, text="queues:")
accepted("as many queues as CPUs", image, nr_queues=cpus)
refused("queue depth", errno.EINVAL, image, queue_depth=4097, text="queue depth: 4097")
refused("cache size", errno.EINVAL, image, cache_bytes=65535, text="at least 65536")
accepted("least cache size", image, cache_bytes=65536)
for size in (1, 256, 1024, 4095, 8192, 1 << 31):
    refused(f"block size {size}", errno.EINVAL, image, block_size=size,
            text=f"logical block size: {size}, must be 512 or 4096")
refused("reserved", errno.EINVAL, image, reserved=1, text="reserved field: 1")
for size in (0, 512, 4096):
    accepted(f"block size {size}", image, block_size=size)
accepted("message nowhere", image, message_at=8)
refused("why, to nowhere", errno.EINVAL, image, flags=1 << 31, message_at=8)

# layers
pipe = os.pipe()
for what, bad, err in (("no descriptor", -1, errno.EBADF), ("not open", 999, errno.EBADF),
                       ("a directory", os.open(".", os.O_RDONLY), errno.EINVAL),
                       ("a pipe", pipe[0], errno.EINVAL),
                       ("a character device", os.open("/dev/null", os.O_RDWR), errno.EINVAL),
                       ("the control node", q.control, errno.EINVAL),
                       ("write-only", os.open("image", os.O_WRONLY), errno.EBADF),
                       ("a mere path", os.open("image", os.O_PATH), errno.EBADF)):
    refused(f"image: {what}", err, (bad,))
    refused(f"backing: {what}", err, image, (bad,))
    if bad != -1:
        refused(f"data: {what}", err, (fd, bad))
empty = os.open("empty", os.O_RDWR | os.O_CREAT)
refused("a file of nothing", errno.EINVAL, (empty,), text="too short")
refused("flags of a layer", errno.EINVAL, (fd, -1, q.QCOW, 1), text="layer 0")
refused("format of a layer", errno.EINVAL, (fd, -1, 2), text="unknown format 2")
refused("a raw image on top", errno.EINVAL, (fd, -1, q.RAW), text="must be a QCOW image")
refused("a data file too many", errno.EINVAL, (fd, empty), text="the image has none")
refused("a raw layer with a data file", errno.EINVAL, image, (empty, fd, q.RAW),
        text="layer 1")
accepted("an empty raw layer", image, (empty, -1, q.RAW))

# keys
key = q.add_key("logon", "kunit:one", b"0123456789abcdef")
long_key = q.add_key("user", "long", bytes(65))
crypt = (os.open("crypt", os.O_RDONLY),)
accepted("no keys yet", image, size=72)
accepted("an encrypted image", crypt, keys=(key,))
refused("no key", errno.ENOKEY, crypt, text="crypt_method 1 (AES): the image is encrypted")
refused("key nowhere", errno.EFAULT, crypt, keys_at=8)
refused("a key that is none", errno.ENOKEY, crypt, keys=(1 << 30,), text="key 1073741824")
refused("a keyring", errno.EINVAL, crypt, keys=(-2,), text="key -2")
refused("a long key", errno.EKEYREJECTED, crypt, keys=(long_key,), text="65 bytes, must be 1 to 64")
refused("another length", errno.EKEYREJECTED, crypt, text="key of 64 bytes: the image has one of 16",
        keys=(q.add_key("user", "other", bytes(64)),))
refused("a key too many", errno.EINVAL, image, keys=(key,), text="the image is not encrypted")
refused("a key of a raw layer", errno.EINVAL, image, (empty, -1, q.RAW), keys=(0, key),
        text="this is layer 1")

# what has been read of the headers: 112 bytes, the names of features, the end; a base's format
overlay = (os.open("overlay", os.O_RDONLY),)
seen = q.digest("image", 112 + 392 + 8)
over = q.digest("overlay", 112 + 16 + 392 + 8, b"image")
accepted("the right header", image, digests=(seen,))
accepted("the right headers", overlay, image, digests=(over, seen))
accepted("the right one of two", overlay, image, digests=(0, seen))
accepted("none of two", overlay, image, digests=(0, 0))
refused("the wrong header", errno.ESTALE, image, digests=(seen + 1,), text="header: it has changed")
refused("the wrong one below", errno.ESTALE, overlay, image, digests=(over, over),
        text="this is layer 1")
refused("digests nowhere", errno.EFAULT, image, digests_at=8)

# what fails leaves the caller's descriptor as it was, its times too
writable = os.open("overlay", os.O_RDWR)
before = fcntl.fcntl(writable, fcntl.F_GETFL)
refused("the wrong header, to be written to", errno.ESTALE, (writable,), image, flags=0,
        digests=(1, 0))
refused("a backing file that is none", errno.EINVAL, (writable,), (empty,), flags=0)
expect("flags of the descriptor", fcntl.fcntl(writable, fcntl.F_GETFL) - before, 0)
os.utime(writable, (0, 0))
os.pwrite(writable, b"Q", 0)
expect("its time", os.fstat(writable).st_mtime > 0, True)

# snapshots
accepted("a snapshot", image, flags=q.READ_ONLY | q.SNAPSHOT)
refused("one that is not there", errno.EINVAL, image, flags=q.READ_ONLY | q.SNAPSHOT,
        snapshot=1, text="the image has 1")
refused("one far away", errno.EINVAL, image, flags=q.READ_ONLY | q.SNAPSHOT,
        snapshot=0xffffffff, text="snapshot 4294967295")
refused("beside nothing", errno.ENOENT, image, flags=q.READ_ONLY | q.SNAPSHOT | q.BESIDE,
        text="no device writes to image")
refused("the active state beside", errno.EINVAL, image, flags=q.READ_ONLY | q.BESIDE)
refused("beside, to be written to", errno.EINVAL, (writable,), flags=q.SNAPSHOT | q.BESIDE)
accepted("a number that does not matter", image, snapshot=99)

# detach
err, index = q.attach(image, index=1048575)
expect("highest number", err, 0)
expect("its name", os.path.exists("/dev/qcow1048575"), True)
refused("a number that is taken", errno.EEXIST, image, index=1048575, text="attached already")
for bit in range(1, 32):
    expect(f"detach: flag {bit}", q.detach(index, 1 << bit), errno.EINVAL, "unknown flags")
for other in (0, 1048576, q.ANY):
    expect(f"detach: number {other}", q.detach(other), errno.ENXIO, "is not attached")

# resize
expect("resize: an address nobody has", q.call(q.RESIZE, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"resize: size {size}", q.resize(index, 1 << 21, size=size), errno.EINVAL)
expect("resize: longer, not all zeros", q.resize(index, 1 << 21, size=q.RESIZE_BYTES + 8,
                                                 tail=b"\0\0\0\0\1\0\0\0"), errno.E2BIG)
for bit in range(1, 32):
    expect(f"resize: flag {bit}", q.resize(index, 1 << 21, 1 << bit), errno.EINVAL,
           "unknown flags")
for other in (0, 1048576, q.ANY):
    expect(f"resize: number {other}", q.resize(other, 1 << 21), errno.ENXIO, "is not attached")
expect("resize: read-only", q.resize(index, 1 << 21), errno.EROFS, "is attached read-only")
expect("resize: longer, zeros", q.resize(index, 1 << 21, size=q.RESIZE_BYTES + 8, tail=bytes(8)),
       errno.EROFS)

# another backing file
to = {"label": b"base", "form": b"raw"}
expect("rebase: an address nobody has", q.call(q.REBASE, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"rebase: size {size}", q.rebase(index, (fd, -1, q.RAW), size=size, **to), errno.EINVAL)
expect("rebase: longer, not all zeros", q.rebase(index, size=q.REBASE_BYTES + 8,
                                                 tail=b"\0\0\0\0\1\0\0\0"), errno.E2BIG)
for bit in range(2, 32):
    expect(f"rebase: flag {bit}", q.rebase(index, flags=1 << bit), errno.EINVAL, "unknown flags")
for other in (0, 1048576, q.ANY):
    expect(f"rebase: number {other}", q.rebase(other), errno.ENXIO, "is not attached")
for how in {"flags": 3}, {"flags": 1, "rate": 1}:
    expect(f"rebase: names only, {how}", q.rebase(index, **how), errno.EINVAL,
           "nothing is to be copied")
expect("rebase: no key", q.rebase(index, (fd, -1, q.RAW), keys=(1 << 30,), **to), errno.ENOKEY,
       "key 1073741824")
expect("rebase: reserved", q.rebase(index, reserved=1), errno.EINVAL, "reserved field: 1")
for length in (1024, 0xffffffff):
    expect(f"rebase: name of {length}", q.rebase(index, (fd, -1, q.RAW), name_bytes=length),
           errno.EINVAL, f"name of {length} bytes")
    expect(f"rebase: format of {length}", q.rebase(index, (fd, -1, q.RAW), label=b"base",
                                                   form_bytes=length),
           errno.EINVAL, f"format of {length}")
expect("rebase: name nowhere", q.rebase(index, (fd, -1, q.RAW), name_at=8, name_bytes=1),
       errno.EFAULT)
expect("rebase: a NUL in a name", q.rebase(index, (fd, -1, q.RAW), label=b"ba\0e", form=b"raw"),
       errno.EINVAL, "backing file name: has a NUL after 2 of 4 bytes")
expect("rebase: a NUL in a format", q.rebase(index, (fd, -1, q.RAW), label=b"base", form=b"r\0w"),
       errno.EINVAL, "backing file format: has a NUL after 1 of 3 bytes")
for number in (0, 4096, 0xffffffff):
    expect(f"rebase: {number} layers", q.rebase(index, nr_layers=number, **to), errno.EINVAL,
           f"layers: {number}, must be 1 to 4095")
expect("rebase: layers of nothing", q.rebase(index, (fd, -1, q.RAW)), errno.EINVAL,
       "layers: 1, must be 0 to 0")
expect("rebase: layers nowhere", q.rebase(index, layers_at=8, nr_layers=1, **to), errno.EFAULT)
expect("rebase: format of a layer", q.rebase(index, (fd, -1, 2), **to), errno.EINVAL,
       "unknown format 2")
expect("rebase: read-only", q.rebase(index, (fd, -1, q.RAW), **to), errno.EROFS,
       "is attached read-only")
expect("rebase: longer, zeros", q.rebase(index, size=q.REBASE_BYTES + 8, tail=bytes(8)),
       errno.EROFS)

# what is running
expect("wait: an address nobody has", q.call(q.WAIT, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"wait: size {size}", q.wait(index, size=size), errno.EINVAL)
expect("wait: longer, not all zeros", q.wait(index, size=q.WAIT_BYTES + 8,
                                             tail=b"\0\0\0\0\1\0\0\0"), errno.E2BIG)
for bit in range(2, 32):
    expect(f"wait: flag {bit}", q.wait(index, 1 << bit), errno.EINVAL, "unknown flags")
for other in (0, 1048576, q.ANY):
    expect(f"wait: number {other}", q.wait(other), errno.ENXIO, "is not attached")
expect("wait: for nothing", q.wait(index), 0)
expect("wait: cancel nothing", q.wait(index, 1), errno.ENOENT, "no job is running")
for other in (index, 0, 1048576, q.ANY):
    expect(f"wait: detach of {other}", q.wait(other, 2), 0)
expect("wait: cancel a detach", q.wait(index, 3), errno.EINVAL, "cannot be cancelled")
expect("wait: longer, zeros", q.wait(index, size=q.WAIT_BYTES + 8, tail=bytes(8)), 0)

# snapshots, changed
snap = q.change_snapshot
expect("snapshot: an address nobody has", q.call(q.CHANGE_SNAPSHOT, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"snapshot: size {size}", snap(index, q.CREATE, size=size), errno.EINVAL)
expect("snapshot: longer, not all zeros", snap(index, q.CREATE, size=q.SNAPSHOT_BYTES + 8,
                                               tail=b"\1" + bytes(7)), errno.E2BIG)
for bit in range(1, 32):
    expect(f"snapshot: flag {bit}", snap(index, q.CREATE, flags=1 << bit), errno.EINVAL,
           "unknown flags")
for action in (3, 0xffffffff):
    expect(f"snapshot: action {action}", snap(index, action), errno.EINVAL, "unknown action")
for other in (0, 1048576, q.ANY):
    expect(f"snapshot: number {other}", snap(other, q.CREATE), errno.ENXIO, "is not attached")
for length in (0, 65536, 0xffffffff):
    expect(f"snapshot: id of {length}", snap(index, q.CREATE, id_bytes=length), errno.EINVAL,
           f"id of {length} bytes")
expect("snapshot: a long name", snap(index, q.CREATE, name_bytes=65536), errno.EINVAL,
       "name of 65536 bytes")
expect("snapshot: id nowhere", snap(index, q.CREATE, id_at=8), errno.EFAULT)
expect("snapshot: name nowhere", snap(index, q.CREATE, name_at=8, name_bytes=1), errno.EFAULT)
expect("snapshot: many nodes", snap(index, q.CREATE, nr_nodes=4097), errno.EINVAL,
       "block devices: 4097")
expect("snapshot: nodes nowhere", snap(index, q.CREATE, nr_nodes=1, nodes_at=8), errno.EFAULT)
expect("snapshot: a node that is closed", snap(index, q.CREATE, nodes=(99,)), errno.EBADF,
       "descriptor 99")
for action in (q.CREATE, q.APPLY, q.DELETE):
    expect("snapshot: read-only", snap(index, action), errno.EROFS, "read-only")
err, other = q.attach((os.open("overlay", os.O_RDWR),), image, flags=0)
expect("an overlay to be written to", err, 0)
expect("snapshot: a node that is a file", snap(other, q.CREATE, nodes=image), errno.EINVAL,
       "is no node of")
node = os.open("/dev/qcow1048575", os.O_RDONLY)
expect("snapshot: a node of another disk", snap(other, q.CREATE, nodes=(node,)), errno.EINVAL,
       "is no node of")
os.close(node)
expect("snapshot: none", snap(other, q.DELETE), errno.ENOENT, "snapshot 1: there is none")
expect("snapshot: longer, zeros", snap(other, q.CREATE, size=q.SNAPSHOT_BYTES + 8,
                                       tail=bytes(8)), 0)
expect("snapshot: there is one", snap(other, q.CREATE), errno.EEXIST, "there is one already")
expect("snapshot: deleted", snap(other, q.DELETE), 0)
expect("detached", q.detach(other), 0)

# an overlay put on top
expect("overlay: an address nobody has", q.call(q.OVERLAY, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"overlay: size {size}", q.overlay(index, fd, fd, size=size), errno.EINVAL)
expect("overlay: longer, not all zeros", q.overlay(index, fd, fd, size=q.OVERLAY_BYTES + 8,
                                                   tail=b"\1" + bytes(7)), errno.E2BIG)
for bit in range(32):
    expect(f"overlay: flag {bit}", q.overlay(index, fd, fd, flags=1 << bit), errno.EINVAL,
           "unknown flags")
for other in (0, 1048576, q.ANY):
    expect(f"overlay: number {other}", q.overlay(other, fd, fd), errno.ENXIO, "is not attached")
expect("overlay: many nodes", q.overlay(index, fd, fd, nr_nodes=4097), errno.EINVAL,
       "block devices: 4097")
expect("overlay: nodes nowhere", q.overlay(index, fd, fd, nr_nodes=1, nodes_at=8), errno.EFAULT)
expect("overlay: a node that is closed", q.overlay(index, fd, fd, nodes=(99,)), errno.EBADF,
       "descriptor 99")
expect("overlay: reserved", q.overlay(index, fd, fd, reserved=1), errno.EINVAL,
       "reserved field: 1")
expect("overlay: no key", q.overlay(index, fd, fd, key=1 << 30), errno.ENOKEY, "key 1073741824")
expect("overlay: read-only", q.overlay(index, fd, fd, size=q.OVERLAY_BYTES + 8, tail=bytes(8)),
       errno.EROFS, "is attached read-only")

# into the backing file
expect("commit: an address nobody has", q.call(q.COMMIT, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"commit: size {size}", q.commit(index, fd, size=size), errno.EINVAL)
expect("commit: longer, not all zeros", q.commit(index, fd, size=q.COMMIT_BYTES + 8,
                                                 tail=b"\1" + bytes(7)), errno.E2BIG)
for bit in range(32):
    expect(f"commit: flag {bit}", q.commit(index, fd, flags=1 << bit), errno.EINVAL,
           "unknown flags")
expect("commit: reserved", q.commit(index, fd, reserved=1), errno.EINVAL, "reserved field: 1")
for other in (0, 1048576, q.ANY):
    expect(f"commit: number {other}", q.commit(other, fd), errno.ENXIO, "is not attached")
expect("commit: read-only", q.commit(index, fd, size=q.COMMIT_BYTES + 8, tail=bytes(8)),
       errno.EROFS, "is attached read-only")
top = os.open("overlay", os.O_RDWR)
err, other = q.attach((top,), image, flags=0)
expect("commit: an overlay to be written to", err, 0)
below = os.open("image", os.O_RDWR)
expect("commit: a descriptor that is closed", q.commit(other, 99), errno.EBADF)
expect("commit: only to be read", q.commit(other, fd), errno.EBADF, "not open for writing")
expect("commit: another file", q.commit(other, top), errno.EINVAL, "is not image, which")
expect("commit: a data file", q.commit(other, below, data=top), errno.EINVAL,
       "image has no external data file")
expect("commit: another image", q.commit(other, below, top=fd), errno.EINVAL,
       "is not overlay, which")
expect("commit: others have it", q.commit(other, below), errno.EBUSY)
expect("commit: detached", q.detach(other), 0)
os.close(below)
os.close(top)

# bitmaps
expect("bitmap: an address nobody has", q.call(q.CHANGE_BITMAP, 8), errno.EFAULT)
expect("map: an address nobody has", q.call(q.MAP_BITMAP, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"bitmap: size {size}", q.change_bitmap(index, q.ADD, size=size), errno.EINVAL)
    expect(f"map: size {size}", q.map_bitmap(index, size=size)[0], errno.EINVAL)
for bit in range(32):
    expect(f"bitmap: flag {bit}", q.change_bitmap(index, q.ADD, flags=1 << bit), errno.EINVAL,
           "unknown flags")
    expect(f"map: flag {bit}", q.map_bitmap(index, flags=1 << bit)[0], errno.EINVAL,
           "unknown flags")
expect("bitmap: longer, not all zeros", q.change_bitmap(
    index, q.ADD, size=q.BITMAP_BYTES + 8, tail=b"\1" + bytes(7)), errno.E2BIG)
expect("map: longer, not all zeros", q.map_bitmap(
    index, size=q.MAP_BYTES + 8, tail=b"\1" + bytes(7))[0], errno.E2BIG)
expect("bitmap: reserved", q.change_bitmap(index, q.ADD, reserved=1), errno.EINVAL,
       "reserved field: 1")
expect("bitmap: action 6", q.change_bitmap(index, 6), errno.EINVAL, "action 6 is unknown")
expect("bitmap: no name", q.change_bitmap(index, q.ADD, b""), errno.EINVAL, "name of 0 bytes")
expect("bitmap: a name of 1024", q.change_bitmap(index, q.ADD, b"n" * 1024), errno.EINVAL,
       "name of 1024 bytes")
expect("bitmap: a name with a NUL", q.change_bitmap(index, q.ADD, b"a\0b"), errno.EINVAL,
       "has a NUL after 1 of 3")
expect("bitmap: a name nowhere", q.change_bitmap(index, q.ADD, name_at=8), errno.EFAULT)
expect("bitmap: merge nothing", q.change_bitmap(index, q.MERGE), errno.EINVAL, "name of 0 bytes")
expect("bitmap: a source of nothing", q.change_bitmap(index, q.ADD, source=b"s"), errno.EINVAL,
       "nothing to merge")
expect("bitmap: granularity", q.change_bitmap(index, q.CLEAR, granularity=4096), errno.EINVAL,
       "no new bitmap")
for other in (0, 1048576, q.ANY):
    expect(f"bitmap: number {other}", q.change_bitmap(other, q.ADD), errno.ENXIO,
           "is not attached")
    expect(f"map: number {other}", q.map_bitmap(other)[0], errno.ENXIO, "is not attached")
expect("bitmap: read-only", q.change_bitmap(index, q.ADD), errno.EROFS, "is attached read-only")
expect("map: read-only", q.map_bitmap(index)[0], errno.EROFS, "is attached read-only")
top = os.open("overlay", os.O_RDWR)
err, other = q.attach((top,), image, flags=0)
expect("bitmap: to be written to", err, 0)
expect("bitmap: longer, zeros", q.change_bitmap(other, q.ADD, granularity=4096,
                                                size=q.BITMAP_BYTES + 8, tail=bytes(8)), 0)
expect("bitmap: there is one", q.change_bitmap(other, q.ADD), errno.EEXIST, "one already")
disk = os.open(f"/dev/qcow{other}", os.O_RDWR | os.O_SYNC)
for at in (0, 64, 128, 255):
    os.pwrite(disk, bytes(4096), at * 4096)
os.close(disk)
PLACES = [(at * 4096, 4096) for at in (0, 64, 128, 255)]
expect("map: all", str(q.map_bitmap(other, room=5)), str((0, PLACES, 1 << 20, 4096)))
expect("map: as many as there is room for", str(q.map_bitmap(other, room=4)[:2]), str((0, PLACES)))
expect("map: some", str(q.map_bitmap(other, room=2)), str((0, PLACES[:2], 65 * 4096, 4096)))
expect("map: the others", str(q.map_bitmap(other, start=65 * 4096)), str((0, PLACES[2:], 1 << 20, 4096)))
expect("map: no room", str(q.map_bitmap(other, room=0)[:3]), str((0, [], 0)))
expect("map: from the end", str(q.map_bitmap(other, start=1 << 20)), str((0, [], 1 << 20, 4096)))
expect("map: beyond", q.map_bitmap(other, start=(1 << 20) + 1)[0], errno.EINVAL, "start 1048577")
expect("map: ranges nowhere", q.map_bitmap(other, ranges_at=8)[0], errno.EFAULT)
expect("map: none of that name", q.map_bitmap(other, b"two")[0], errno.ENOENT, "there is none")
expect("bitmap: none of that name", q.change_bitmap(other, q.REMOVE, b"two"), errno.ENOENT)
expect("bitmap: removed", q.change_bitmap(other, q.REMOVE), 0)
expect("bitmap: detached", q.detach(other), 0)
os.close(top)

# compact
expect("compact: an address nobody has", q.call(q.COMPACT, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"compact: size {size}", q.compact(index, size=size), errno.EINVAL)
for bit in range(32):
    expect(f"compact: flag {bit}", q.compact(index, flags=1 << bit), errno.EINVAL,
           "unknown flags")
expect("compact: longer, not all zeros", q.compact(
    index, size=q.COMPACT_BYTES + 8, tail=b"\1" + bytes(7)), errno.E2BIG)
for other in (0, 1048576, q.ANY):
    expect(f"compact: number {other}", q.compact(other), errno.ENXIO, "is not attached")
expect("compact: read-only", q.compact(index), errno.EROFS, "is attached read-only")
top = os.open("overlay", os.O_RDWR)
err, other = q.attach((top,), image, flags=0)
expect("compact: to be written to", err, 0)
expect("compact: longer, zeros, at any rate", q.compact(
    other, rate=0xffffffffffffffff, size=q.COMPACT_BYTES + 8, tail=bytes(8)), 0)
expect("compact: detached", q.detach(other), 0)
os.close(top)

# metadata
expect("metadata: an address nobody has", q.call(q.OPEN_METADATA, 8), errno.EFAULT)
expect("leaks: an address nobody has", q.call(q.FREE_LEAKS, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"metadata: size {size}", q.open_metadata(index, size=size)[0], errno.EINVAL)
    expect(f"leaks: size {size}", q.free_leaks(fd, size=size), errno.EINVAL)
for bit in range(32):
    expect(f"metadata: flag {bit}", q.open_metadata(index, flags=1 << bit)[0], errno.EINVAL,
           "unknown flags")
    expect(f"leaks: flag {bit}", q.free_leaks(fd, flags=1 << bit), errno.EINVAL, "unknown flags")
expect("metadata: longer, not all zeros", q.open_metadata(
    index, size=q.METADATA_BYTES + 8, tail=b"\1" + bytes(7))[0], errno.E2BIG)
expect("leaks: longer, not all zeros", q.free_leaks(
    fd, size=q.LEAKS_BYTES + 8, tail=b"\1" + bytes(7)), errno.E2BIG)
expect("metadata: reserved", q.open_metadata(index, reserved=1)[0], errno.EINVAL,
       "reserved field: 1")
expect("leaks: reserved", q.free_leaks(fd, reserved=1), errno.EINVAL, "reserved field: 1")
for other in (0, 1048576, q.ANY):
    expect(f"metadata: number {other}", q.open_metadata(other)[0], errno.ENXIO, "is not attached")
expect("leaks: too many", q.free_leaks(fd, nr=65537), errno.EINVAL, "ranges: 65537")
expect("leaks: ranges nowhere", q.free_leaks(fd, nr=1, leaks_at=8), errno.EFAULT)
expect("leaks: a descriptor that is closed", q.free_leaks(99), errno.EBADF)
expect("leaks: an image", q.free_leaks(fd), errno.EBADF, "not of QCOW_OPEN_METADATA")
err, seen, length = q.open_metadata(index, size=q.METADATA_BYTES + 8, tail=bytes(8))
expect("metadata: read-only", err, 0)
expect("metadata: bytes", str(length), str(os.stat("image").st_size))
with open("image", "rb") as it:
    expect("metadata: contents", str(os.pread(seen, 1 << 16, 0) == it.read(1 << 16)), "True")
expect("metadata: the end", str(os.pread(seen, 10, length)), str(b""))
expect("metadata: behind the end", str(os.pread(seen, 10, (1 << 63) - 11)), str(b""))
expect("metadata: a second time", q.open_metadata(index)[0], errno.EBUSY, "check is running")
try:
    expect("metadata: written to", os.write(seen, b"a"), -1)
except OSError as error:
    expect("metadata: written to", error.errno, errno.EBADF)
expect("leaks: read-only", q.free_leaks(seen), errno.EROFS, "is attached read-only")
expect("leaks: detach meanwhile", q.detach(index), errno.EBUSY)
os.close(seen)
top = os.open("overlay", os.O_RDWR)
err, other = q.attach((top,), image, flags=0)
expect("metadata: to be written to", err, 0)
err, seen, length = q.open_metadata(other)
expect("metadata: of that", err, 0)
cluster = 65536
for start, size in ((1, cluster), (0, 1), (cluster, 0), (-cluster % (1 << 64), 2 * cluster)):
    expect(f"leaks: {size} at {start}", q.free_leaks(seen, [(start, size)]), errno.EINVAL,
           "must be whole clusters, in order")
expect("leaks: one twice", q.free_leaks(seen, [(cluster, cluster)] * 2), errno.EINVAL, "range 1")
for start in (0, length // cluster * cluster, 1 << 40, (1 << 63) - cluster):
    expect(f"leaks: at {start}", q.free_leaks(seen, [(start, cluster)]), errno.EUCLEAN,
           "they are not leaked")
expect("leaks: none", q.free_leaks(seen), 0)
os.close(seen)
expect("metadata: detached", q.detach(other), 0)
os.close(top)

# read-only or not
expect("access: an address nobody has", q.call(q.SET_ACCESS, 8), errno.EFAULT)
for size in (0, 3, 4097, 0xffffffff):
    expect(f"access: size {size}", q.set_access(index, fd, size=size), errno.EINVAL)
expect("access: longer, not all zeros", q.set_access(index, fd, size=q.ACCESS_BYTES + 8,
                                                     tail=b"\1" + bytes(7)), errno.E2BIG)
for bit in range(1, 32):
    expect(f"access: flag {bit}", q.set_access(index, fd, flags=1 << bit), errno.EINVAL,
           "unknown flags")
for other in (0, 1048576, q.ANY):
    expect(f"access: number {other}", q.set_access(other, fd), errno.ENXIO, "is not attached")
expect("access: nothing changes", q.set_access(index, 99, flags=1, size=q.ACCESS_BYTES + 8,
                                               tail=bytes(8)), 0)

held = os.open("/dev/qcow1048575", os.O_RDONLY)
expect("detach: open", q.detach(index), errno.EBUSY, "is open")
expect("detach: open, lazily", q.detach(index, q.LAZY), errno.EINPROGRESS)
os.close(held)
q.finish()
PY
wait_for 10 test ! -e /dev/qcow1048575
