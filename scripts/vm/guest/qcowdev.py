"""The driver's ioctls for tests (include/uapi/linux/qcow.h), without qcowctl in
between, so that every field can be wrong.
"""
import ctypes
import errno
import fcntl
import os
import struct
import sys

RAW, QCOW = 0, 1
READ_ONLY, SNAPSHOT, NO_PARTSCAN, DIRECT, BUFFERED, BESIDE, DROP_BITMAPS = 1, 2, 4, 8, 16, 32, 64
LAZY = 1
ANY = 0xffffffff

ATTACH_FORMAT = "<IIQIIIIIIQQIIQQ"
ATTACH_BYTES = struct.calcsize(ATTACH_FORMAT)
DETACH_FORMAT = "<IIIIQ"
DETACH_BYTES = struct.calcsize(DETACH_FORMAT)
RESIZE_FORMAT = "<IIIIQQ"
RESIZE_BYTES = struct.calcsize(RESIZE_FORMAT)
SNAPSHOT_FORMAT = "<IIIIQIIQQQIIII"
SNAPSHOT_BYTES = struct.calcsize(SNAPSHOT_FORMAT)
OVERLAY_FORMAT = "<IIIIQiiiIQiI"
OVERLAY_BYTES = struct.calcsize(OVERLAY_FORMAT)
ACCESS_FORMAT = "<IIIIQiiIIQ"
ACCESS_BYTES = struct.calcsize(ACCESS_FORMAT)
REBASE_FORMAT = "<IIIIQQQQQIIIIQQ"
REBASE_BYTES = struct.calcsize(REBASE_FORMAT)
WAIT_FORMAT = "<IIIIQ"
WAIT_BYTES = struct.calcsize(WAIT_FORMAT)
COMMIT_FORMAT = "<IIIIQiiQiI"
COMMIT_BYTES = struct.calcsize(COMMIT_FORMAT)
BITMAP_FORMAT = "<IIIIQQQQIIII"
BITMAP_BYTES = struct.calcsize(BITMAP_FORMAT)
MAP_FORMAT = "<IIIIQQQQQII"
MAP_BYTES = struct.calcsize(MAP_FORMAT)
METADATA_FORMAT = "<IIIIQQQiI"
METADATA_BYTES = struct.calcsize(METADATA_FORMAT)
LEAKS_FORMAT = "<IIiIQQII"
LEAKS_BYTES = struct.calcsize(LEAKS_FORMAT)
COMPACT_FORMAT = "<IIIIQQ"
COMPACT_BYTES = struct.calcsize(COMPACT_FORMAT)
RANGE_FORMAT = "<QQ"
RANGE_BYTES = struct.calcsize(RANGE_FORMAT)
LAYER_FORMAT = "<iiII"
MESSAGE_BYTES = 4096


def command(direction, number, size, kind=0xC3):
    return direction << 30 | size << 16 | kind << 8 | number


ATTACH = command(3, 1, ATTACH_BYTES)
DETACH = command(1, 2, DETACH_BYTES)
RESIZE = command(1, 3, RESIZE_BYTES)
CHANGE_SNAPSHOT = command(1, 4, SNAPSHOT_BYTES)
OVERLAY = command(1, 5, OVERLAY_BYTES)
SET_ACCESS = command(1, 6, ACCESS_BYTES)
REBASE = command(1, 7, REBASE_BYTES)
WAIT = command(1, 8, WAIT_BYTES)
COMMIT = command(1, 9, COMMIT_BYTES)
CHANGE_BITMAP = command(1, 10, BITMAP_BYTES)
MAP_BITMAP = command(3, 11, MAP_BYTES)
OPEN_METADATA = command(3, 12, METADATA_BYTES)
FREE_LEAKS = command(1, 13, LEAKS_BYTES)
COMPACT = command(1, 14, COMPACT_BYTES)
CREATE, APPLY, DELETE = range(3)
ADD, REMOVE, CLEAR, ENABLE, DISABLE, MERGE = range(6)

control = os.open("/dev/qcow-control", os.O_RDWR)
message = ""


def call(request, fields, fd=None):
    """errno of the ioctl, 0 when it succeeds; `fields` is the argument, a bytearray."""
    try:
        fcntl.ioctl(control if fd is None else fd, request, fields)
    except OSError as error:
        return error.errno
    return 0


def layers(*items):
    """(fd, data_fd, format, flags) each, the last three with defaults."""
    defaults = (None, -1, QCOW, 0)
    return b"".join(struct.pack(LAYER_FORMAT, *(item + defaults[len(item):]))
                    for item in items)


def digest(name, span, backing=b""):
    """What is handed over of a header that is so long, and of the backing file's name."""
    with open(name, "rb") as image:
        text = image.read(span) + backing
    value = 0xcbf29ce484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001b3 % (1 << 64)
    return value


def add_key(kind, description, payload, keyring=-2):
    """Serial number of a new key, in the keyring of the process."""
    number = ctypes.CDLL(None, use_errno=True).syscall(
        ctypes.c_long(248), kind.encode(), description.encode(), payload,
        ctypes.c_size_t(len(payload)), ctypes.c_int(keyring))
    if number < 0:
        raise OSError(ctypes.get_errno(), f"add_key {kind} {description}")
    return number


def attach(*items, flags=READ_ONLY | NO_PARTSCAN, index=ANY, snapshot=0, nr_queues=0,
           queue_depth=0, cache_bytes=0, block_size=0, reserved=0, nr_layers=None,
           layers_at=None, size=ATTACH_BYTES, tail=b"", message_at=None, digests=(),
           digests_at=None, keys=(), keys_at=None, request=ATTACH, fd=None):
    """(errno, index). What the kernel said is in `message`."""
    global message
    table = ctypes.create_string_buffer(layers(*items))
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    seen = (ctypes.c_uint64 * len(digests))(*digests)
    if digests_at is None:
        digests_at = ctypes.addressof(seen) if digests else 0
    serials = (ctypes.c_int32 * len(keys))(*keys)
    if keys_at is None:
        keys_at = ctypes.addressof(serials) if keys else 0
    fields = bytearray(struct.pack(
        ATTACH_FORMAT, size, flags, ctypes.addressof(table) if layers_at is None else layers_at,
        len(items) if nr_layers is None else nr_layers, index, snapshot, nr_queues,
        queue_depth, MESSAGE_BYTES,
        ctypes.addressof(text) if message_at is None else message_at, cache_bytes, block_size,
        reserved, digests_at, keys_at)) + tail
    # the ioctl of Python copies short arguments: the real length does not matter to it
    err = call(request, fields, fd)
    message = text.value.decode()
    return err, struct.unpack_from(ATTACH_FORMAT, fields)[4]


def detach(index, flags=0, size=DETACH_BYTES, tail=b"", request=DETACH, fd=None):
    """errno"""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    fields = bytearray(struct.pack(DETACH_FORMAT, size, flags, index, MESSAGE_BYTES,
                                   ctypes.addressof(text))) + tail
    err = call(request, fields, fd)
    message = text.value.decode()
    return err


def overlay(index, top, image, data=-1, flags=0, nodes=(), nr_nodes=None, nodes_at=None,
            key=0, reserved=0, size=OVERLAY_BYTES, tail=b"", request=OVERLAY):
    """errno. What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    fds = (ctypes.c_int32 * max(len(nodes), 1))(*nodes)
    fields = bytearray(struct.pack(
        OVERLAY_FORMAT, size, flags, index, MESSAGE_BYTES, ctypes.addressof(text), top, image,
        data, len(nodes) if nr_nodes is None else nr_nodes,
        ctypes.addressof(fds) if nodes_at is None else nodes_at, key, reserved)) + bytearray(tail)
    err = call(request, fields)
    message = text.value.decode()
    return err


def set_access(index, image, data=-1, flags=0, size=ACCESS_BYTES, tail=b"", request=SET_ACCESS):
    """errno. What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    fields = bytearray(struct.pack(ACCESS_FORMAT, size, flags, index, MESSAGE_BYTES,
                                   ctypes.addressof(text), image, data, 0, 0, 0))
    err = call(request, fields + bytearray(tail))
    message = text.value.decode()
    return err


def rebase(index, *items, label=b"", form=b"", flags=0, digests=(), nr_layers=None,
           layers_at=None, name_bytes=None, form_bytes=None, name_at=None, reserved=0, rate=0,
           keys=(), size=REBASE_BYTES, tail=b"", request=REBASE):
    """errno; `items` as attach() has them, lengths and addresses are theirs or what is given"""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    table = ctypes.create_string_buffer(layers(*items))
    texts = [ctypes.create_string_buffer(part) for part in (label, form)]
    seen = (ctypes.c_uint64 * len(digests))(*digests)
    serials = (ctypes.c_int32 * len(keys))(*keys)

    def given(value, other):
        return other if value is None else value

    fields = bytearray(struct.pack(
        REBASE_FORMAT, size, flags, index, MESSAGE_BYTES, ctypes.addressof(text),
        given(layers_at, ctypes.addressof(table)), ctypes.addressof(seen) if digests else 0,
        given(name_at, ctypes.addressof(texts[0])), ctypes.addressof(texts[1]),
        given(name_bytes, len(label)), given(form_bytes, len(form)),
        given(nr_layers, len(items)), reserved, rate,
        ctypes.addressof(serials) if keys else 0))
    err = call(request, fields + bytearray(tail))
    message = text.value.decode()
    return err


def wait(index, flags=0, size=WAIT_BYTES, tail=b"", request=WAIT):
    """errno"""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    fields = bytearray(struct.pack(WAIT_FORMAT, size, flags, index, MESSAGE_BYTES,
                                   ctypes.addressof(text))) + tail
    err = call(request, fields)
    message = text.value.decode()
    return err


def commit(index, image, data=-1, top=-1, flags=0, rate=0, reserved=0, size=COMMIT_BYTES, tail=b"",
           request=COMMIT):
    """errno. What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    fields = bytearray(struct.pack(COMMIT_FORMAT, size, flags, index, MESSAGE_BYTES,
                                   ctypes.addressof(text), image, data, rate, top, reserved))
    err = call(request, fields + bytearray(tail))
    message = text.value.decode()
    return err


def change_bitmap(index, action, name=b"one", source=b"", granularity=0, flags=0, reserved=0,
                  name_at=None, name_bytes=None, size=BITMAP_BYTES, tail=b""):
    """errno. What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    names = [ctypes.create_string_buffer(text) for text in (name, source)]
    fields = bytearray(struct.pack(
        BITMAP_FORMAT, size, flags, index, MESSAGE_BYTES, ctypes.addressof(text),
        ctypes.addressof(names[0]) if name_at is None else name_at, ctypes.addressof(names[1]),
        granularity, len(name) if name_bytes is None else name_bytes, len(source), action,
        reserved))
    err = call(CHANGE_BITMAP, fields + bytearray(tail))
    message = text.value.decode()
    return err


def map_bitmap(index, name=b"one", start=0, room=4, flags=0, ranges_at=None, size=MAP_BYTES,
               tail=b""):
    """(errno, ranges, where to go on, granularity). What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    label = ctypes.create_string_buffer(name)
    ranges = ctypes.create_string_buffer(room * RANGE_BYTES)
    fields = bytearray(struct.pack(
        MAP_FORMAT, size, flags, index, MESSAGE_BYTES, ctypes.addressof(text),
        ctypes.addressof(label), ctypes.addressof(ranges) if ranges_at is None else ranges_at,
        start, 0, len(name), room)) + bytearray(tail)
    err = call(MAP_BITMAP, fields)
    message = text.value.decode()
    start, granularity, _, nr = struct.unpack_from("<QQII", fields, 40)
    return err, list(struct.iter_unpack(RANGE_FORMAT, ranges.raw[:nr * RANGE_BYTES])), start, \
        granularity


def resize(index, size_bytes, flags=0, size=RESIZE_BYTES, tail=b"", request=RESIZE, fd=None):
    """errno"""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    fields = bytearray(struct.pack(RESIZE_FORMAT, size, flags, index, MESSAGE_BYTES,
                                   ctypes.addressof(text), size_bytes)) + tail
    err = call(request, fields, fd)
    message = text.value.decode()
    return err


def change_snapshot(index, action, snapshot=b"1", label=b"", flags=0, nodes=(), nr_nodes=None,
                    nodes_at=None, id_at=None, id_bytes=None, name_at=None, name_bytes=None,
                    size=SNAPSHOT_BYTES, tail=b""):
    """errno; addresses and lengths are those of the texts and of `nodes`, or what is given"""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    texts = [ctypes.create_string_buffer(part) for part in (snapshot, label)]
    fds = (ctypes.c_int * max(len(nodes), 1))(*nodes)

    def given(value, other):
        return other if value is None else value

    fields = bytearray(struct.pack(
        SNAPSHOT_FORMAT, size, flags, index, MESSAGE_BYTES, ctypes.addressof(text), action,
        given(nr_nodes, len(nodes)), given(nodes_at, ctypes.addressof(fds)),
        given(id_at, ctypes.addressof(texts[0])), given(name_at, ctypes.addressof(texts[1])),
        given(id_bytes, len(snapshot)), given(name_bytes, len(label)), 1, 0)) + tail
    err = call(CHANGE_SNAPSHOT, fields)
    message = text.value.decode()
    return err


def name(number):
    return errno.errorcode.get(number, number)


failed = False


def expect(what, got, want, text=""):
    """`want` and `got` are numbers of errors; `text` is to be in the message."""
    global failed
    if got != want or text not in message:
        failed = True
        print(f"FAILED: {what}: {name(got)}, not {name(want)}; "
              f"message '{message.strip()}', not '{text}'")
    else:
        print(f"ok: {what}: {name(got)} {message.strip()}")


def refused(what, want, *items, text="", **fields):
    err, index = attach(*items, **fields)
    expect(what, err, want, text)
    if not err:
        detach(index)


def accepted(what, *items, **fields):
    err, index = attach(*items, **fields)
    expect(what, err, 0)
    if not err:
        expect(f"{what}: detach", detach(index), 0)


def finish():
    sys.exit(failed)


def open_metadata(index, rate=0, flags=0, reserved=0, size=METADATA_BYTES, tail=b""):
    """(errno, descriptor, bytes). What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    fields = bytearray(struct.pack(METADATA_FORMAT, size, flags, index, MESSAGE_BYTES,
                                   ctypes.addressof(text), rate, 0, -1, reserved)) + bytearray(tail)
    err = call(OPEN_METADATA, fields)
    message = text.value.decode()
    length, fd = struct.unpack_from("<Qi", fields, 32)
    return err, fd, length


def free_leaks(fd, leaks=(), flags=0, reserved=0, nr=None, leaks_at=None, size=LEAKS_BYTES,
               tail=b""):
    """errno. What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    ranges = ctypes.create_string_buffer(b"".join(struct.pack(RANGE_FORMAT, *r) for r in leaks))
    err = call(FREE_LEAKS, struct.pack(
        LEAKS_FORMAT, size, flags, fd, MESSAGE_BYTES, ctypes.addressof(text),
        ctypes.addressof(ranges) if leaks_at is None else leaks_at,
        len(leaks) if nr is None else nr, reserved) + tail)
    message = text.value.decode()
    return err


def compact(index, rate=0, flags=0, size=COMPACT_BYTES, tail=b""):
    """errno. What the kernel said is in `message`."""
    global message
    text = ctypes.create_string_buffer(MESSAGE_BYTES)
    err = call(COMPACT, struct.pack(COMPACT_FORMAT, size, flags, index, MESSAGE_BYTES,
                                    ctypes.addressof(text), rate) + tail)
    message = text.value.decode()
    return err
