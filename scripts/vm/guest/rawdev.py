"""Devices for the scripts that break things: attach and detach by ioctl, past qcowctl and
what it refuses itself, direct reads, and the kernel log.
"""
import array
import errno
import fcntl
import mmap
import os
import struct

CHUNK = 1 << 20

READ_ONLY = 1
SNAPSHOT = 2
NO_PARTSCAN = 4
DIRECT = 8
BUFFERED = 16
DROP_BITMAPS = 64
LAZY = 1
INDEX_ANY = 0xffffffff

ATTACH_FORMAT = "=IIQIIIIIIQQ"
DETACH_FORMAT = "=IIIIQ"
MESSAGE_BYTES = 4096


def _ioc(direction, number, layout):
    return direction << 30 | struct.calcsize(layout) << 16 | 0xC3 << 8 | number


ATTACH = _ioc(3, 1, ATTACH_FORMAT)
DETACH = _ioc(1, 2, DETACH_FORMAT)


class Refused(Exception):
    """An ioctl failed: its errno, and the driver's message."""

    def __init__(self, code, message):
        super().__init__(f"{errno.errorcode.get(code, code)}: {message}")
        self.errno = code
        self.message = message


def _control(request, layout, values, message):
    args = bytearray(struct.pack(layout, *values))
    fd = os.open("/dev/qcow-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, request, args, True)
    except OSError as e:
        raise Refused(e.errno, message.tobytes().split(b"\0")[0].decode()) from None
    finally:
        os.close(fd)
    return struct.unpack(layout, args)


def attach(*layers, flags=0, snapshot=0, cache=0, index=INDEX_ANY, writable=False, queues=0,
           depth=0):
    """Attach paths, the active image first; one that ends in .raw is raw. The index."""
    message = array.array("B", bytes(MESSAGE_BYTES))
    flags |= NO_PARTSCAN | (0 if writable else READ_ONLY)
    fds = [os.open(path, (os.O_RDWR if writable and not i else os.O_RDONLY) | os.O_CLOEXEC)
           for i, path in enumerate(layers)]
    table = array.array("B", b"".join(
        struct.pack("=iiII", fd, -1, not path.endswith(".raw"), 0)
        for fd, path in zip(fds, layers)))
    try:
        return _control(ATTACH, ATTACH_FORMAT, (
            struct.calcsize(ATTACH_FORMAT), flags,
            table.buffer_info()[0], len(layers), index, snapshot, queues, depth,
            MESSAGE_BYTES, message.buffer_info()[0], cache), message)[4]
    finally:
        for fd in fds:
            os.close(fd)


def detach(index, flags=0):
    message = array.array("B", bytes(MESSAGE_BYTES))
    _control(DETACH, DETACH_FORMAT, (struct.calcsize(DETACH_FORMAT), flags, index,
                                     MESSAGE_BYTES, message.buffer_info()[0]), message)


class Device:
    """An attached image, open for direct reads; detached at the end of the block."""

    def __init__(self, *layers, writable=False, **how):
        self.index = attach(*layers, writable=writable, **how)
        self.fd = os.open(f"/dev/qcow{self.index}", os.O_DIRECT | os.O_CLOEXEC |
                          (os.O_RDWR if writable else os.O_RDONLY))
        self.size = os.lseek(self.fd, 0, os.SEEK_END)
        self.memory = memoryview(mmap.mmap(-1, CHUNK))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        detach(self.index)

    def read(self, start, end, tolerate=(errno.EIO,)):
        """The bytes, or None: an error."""
        parts = []
        for pos in range(start, end, CHUNK):
            want = self.memory[:min(CHUNK, end - pos)]
            try:
                got = os.preadv(self.fd, [want], pos)
            except OSError as e:
                if e.errno not in tolerate:
                    raise
                return None
            if got != len(want):
                raise ValueError(f"{got} bytes read at {pos}, not {len(want)}")
            parts.append(bytes(want))
        return b"".join(parts)


class KernelLog:
    """What the kernel has logged since the last look."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def lines(self):
        result = []
        while True:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return result
            except BrokenPipeError:
                continue
            result.append(record.partition(";")[2].partition("\n")[0])
