"""Breaks QCOW images, one thing at a time, and knows what the driver must make of it.
For hostile, beside it. What is expected is a list of segments of the guest's bytes,
(start, end, kind), or a Refused pattern.
"""
import re

REF, ZERO, EIO, REF_OR_EIO, ANY = "as it was", "zeros", "an I/O error", "or an error", "any"

V1_FIELDS = {
    "magic": (0, 4), "version": (4, 4), "backing_offset": (8, 8), "backing_size": (16, 4),
    "size": (24, 8), "cluster_bits": (32, 1), "l2_bits": (33, 1), "crypt_method": (36, 4),
    "l1_offset": (40, 8),
}
FIELDS = {
    "magic": (0, 4), "version": (4, 4), "backing_offset": (8, 8), "backing_size": (16, 4),
    "cluster_bits": (20, 4), "size": (24, 8), "crypt_method": (32, 4), "l1_entries": (36, 4),
    "l1_offset": (40, 8), "refcount_table_offset": (48, 8), "refcount_table_clusters": (56, 4),
    "nr_snapshots": (60, 4), "snapshots_offset": (64, 8), "incompatible": (72, 8),
    "compatible": (80, 8), "autoclear": (88, 8), "refcount_order": (96, 4),
    "header_length": (100, 4), "compression_type": (104, 1),
}


class Refuse:
    """Attach fails, with a message that matches."""

    def __init__(self, pattern):
        self.pattern = re.compile(pattern)


class Image:
    """The bytes of an image file, and where its tables are."""

    def __init__(self, name):
        with open(name, "rb") as f:
            self.data = bytearray(f.read())
        self.v1 = self.number(4, 4) == 1
        self.fields = V1_FIELDS if self.v1 else FIELDS
        self.size = self.get("size")
        self.cluster_bits = self.get("cluster_bits")
        self.cluster = 1 << self.cluster_bits
        self.extended = not self.v1 and self.get("version") > 2 and self.get("incompatible") & 16
        self.entry_bytes = 16 if self.extended else 8
        self.l2_bits = self.get("l2_bits") if self.v1 else \
            self.cluster_bits - (4 if self.extended else 3)
        self.reach = self.cluster << self.l2_bits
        self.l1_offset = self.get("l1_offset")
        self.l1_entries = -(-self.size // self.reach)

    def copy(self):
        other = Image.__new__(Image)
        other.__dict__ = dict(self.__dict__, data=bytearray(self.data))
        return other

    def number(self, at, width):
        return int.from_bytes(self.data[at:at + width], "big")

    def set_number(self, at, width, value):
        self.data[at:at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "big")

    def get(self, field):
        return self.number(*self.fields[field])

    def put(self, field, value):
        self.set_number(*self.fields[field], value)

    def table(self, idx):
        """Host offset of an L2 table."""
        return self.number(self.l1_offset + 8 * idx, 8) & ((1 << 56) - 1)

    def l1_at(self, guest):
        return self.l1_offset + 8 * (guest // self.reach)

    def l2_at(self, guest):
        return self.table(guest // self.reach) + \
            guest % self.reach // self.cluster * self.entry_bytes

    def compressed(self, entry):
        return entry >> (63 if self.v1 else 62) & 1

    def host(self, guest):
        """Host offset of a standard cluster, 0 for none, None for a compressed one."""
        if not self.table(guest // self.reach):
            return 0
        entry = self.number(self.l2_at(guest), 8)
        if self.compressed(entry):
            return None
        return entry & ((1 << 56) - 512)

    def clusters(self):
        return range(0, self.size, self.cluster)

    def end(self):
        """The first cluster behind the file."""
        return len(self.data) + -len(self.data) % self.cluster

    def append(self, data):
        """Data at a fresh cluster; its host offset."""
        at = self.end()
        self.data += bytes(at - len(self.data))
        self.data += data + bytes(-len(data) % self.cluster)
        return at


def only(image, start, end, kind):
    """All as it was but for one segment."""
    end = min(end, image.size)
    return [s for s in ((0, start, REF), (start, end, kind), (end, image.size, REF))
            if s[0] < s[1]]


def _add(segments, start, end, kind):
    if segments and segments[-1][2] == kind and segments[-1][1] == start:
        segments[-1] = (segments[-1][0], end, kind)
    elif start < end:
        segments.append((start, end, kind))


def _reach(image):
    """Where the tables end that the header has."""
    end = image.l1_offset + 8 * image.l1_entries
    if image.v1:
        return end
    return max(end, image.get("refcount_table_offset") +
               image.get("refcount_table_clusters") * image.cluster)


def truncated(image, length):
    """What is left of an image whose file ends early: the rest reads as zeros."""
    header = 48 if image.v1 else 72 if image.get("version") < 3 else image.get("header_length")
    if length < header:
        return Refuse("too short|cut off|beyond the end|header_length is 0")
    segments = []
    for guest in image.clusters():
        end = min(guest + image.cluster, image.size)
        # entries are in the file or not, and one in part, byte for byte
        if image.l1_at(guest) + 8 > length or image.table(guest // image.reach) and \
                image.l2_at(guest) + image.entry_bytes > length:
            part = image.l1_at(guest) < length < image.l1_at(guest) + 8 or \
                image.l1_at(guest) + 8 <= length and \
                image.l2_at(guest) < length < image.l2_at(guest) + image.entry_bytes
            _add(segments, guest, end, ANY if part else ZERO)
            continue
        host = image.host(guest)
        if host is None:
            _add(segments, guest, end, REF_OR_EIO)
        elif host and host >= length:
            _add(segments, guest, end, ZERO)
        elif host and host + image.cluster > length:
            border = min(guest + length - host, end)
            _add(segments, guest, border, REF)
            _add(segments, border, end, ZERO)
        else:
            _add(segments, guest, end, REF)
    return segments


def truncations(image):
    """Lengths worth a try."""
    hosts = sorted(h for h in map(image.host, image.clusters()) if h)
    tables = [t for t in map(image.table, range(image.l1_entries)) if t]
    lengths = {0, 1, 3, 4, 7, 8, 47, 48, 71, 72, 103, 104, 111, 112, 511, 512,
               image.l1_offset, image.l1_offset + 4, _reach(image) - 1, _reach(image),
               _reach(image) + 1, len(image.data) - 1, len(image.data)}
    for table in tables:
        lengths |= {table, table + 1, table + 512,
                    table + image.entry_bytes * (1 << image.l2_bits)}
    for host in hosts[:2] + hosts[-2:]:
        lengths |= {host, host + 1, host + 511, host + 512, host + image.cluster - 1}
    return sorted(n for n in lengths if n <= len(image.data))


M64 = (1 << 64) - 1

# Shifts: all that may be right, their neighbours, and where 32 and 64 bits end.
BITS = [*range(24), 31, 32, 33, 63, 64, 127, 128, 255]


def _bits(first, last):
    return [1 << b for b in range(first, last + 1)]


def header_cases(image):
    """(field, value, expectation) for a version 3 image."""
    whole = [(0, image.size, REF)]
    end = image.end()
    most = image.reach * (4 << 20)
    yield "magic", 0x514649FA, Refuse("magic is 0x514649fa")
    for v in (0, 4, 5, M64):
        yield "version", v, Refuse("version [0-9]+ is not supported")
    for v in BITS + [1 << 16, 1 << 31, M64]:
        if v != image.cluster_bits:
            yield "cluster_bits", v, ANY if 9 <= v <= 21 else \
                Refuse("cluster_bits is [0-9]+, must be 9 to 21")
    for v in (0, 1, 511):
        yield "size", v, []
    yield "size", 512, [(0, 512, REF)]
    yield "size", 1023, [(0, 512, REF)]
    yield "size", most, [(0, image.size, REF), (most - 4096, most, ZERO)]
    for v in (most + 1, 1 << 62, (1 << 63) - 1):
        yield "size", v, Refuse("size [0-9]+ needs [0-9]+ L1 table entries")
    for v in (1 << 63, M64):
        yield "size", v, Refuse("size is [0-9]+, at most")
    yield "l1_entries", 0, [(0, image.size, ZERO)]
    yield "l1_entries", 1, [(0, image.reach, REF), (image.reach, image.size, ZERO)]
    for v in (100000, 4 << 20):
        yield "l1_entries", v, whole
    for v in ((4 << 20) + 1, M64):
        yield "l1_entries", v, Refuse("L1 table has [0-9]+ entries, at most 4194304")
    yield "l1_offset", 0, Refuse("L1 table offset 0x0 lies over the header")
    for v in (image.l1_offset + 8, image.l1_offset + 512, (1 << 63) + 1, M64):
        yield "l1_offset", v, Refuse("L1 table offset .* no multiple of the cluster size")
    for v in (1 << 63, M64 - image.cluster + 1):
        yield "l1_offset", v, Refuse("L1 table offset .* beyond the file's end")
    for v in (end, 1 << 55):
        yield "l1_offset", v, [(0, image.size, ZERO)]
    yield "refcount_table_offset", 8, Refuse("refcount table offset 0x8 is no multiple")
    yield "refcount_table_offset", 0, Refuse("refcount table offset 0x0 lies over the header")
    yield "refcount_table_offset", M64 - image.cluster + 1, \
        Refuse("refcount table offset .* beyond the file's")
    yield "refcount_table_offset", end, whole
    yield "refcount_table_clusters", 0, Refuse("refcount table has no clusters")
    yield "refcount_table_clusters", 2048, whole
    for v in (2049, M64):
        yield "refcount_table_clusters", v, Refuse("refcount table has [0-9]+ entries, at most")
    for v in range(7):
        yield "refcount_order", v, whole
    for v in (7, 63, M64):
        yield "refcount_order", v, Refuse("refcount_order is [0-9]+, must be 0 to 6")
    yield "crypt_method", 1, Refuse("crypt_method 1 \\(AES\\)|encrypted")
    yield "crypt_method", 2, Refuse("crypt_method 2 \\(LUKS\\)|encrypted")
    for v in (3, M64):
        yield "crypt_method", v, Refuse("crypt_method is [0-9]+, must be 0 to 2")
    for v in (0, 8, 71, 72, 103, image.cluster + 8, 1 << 31, M64):
        yield "header_length", v, Refuse("header_length is [0-9]+, must be 104 to 4096")
    for v in (105, 108, image.cluster - 1):
        yield "header_length", v, Refuse("header_length [0-9]+ is no multiple of 8")
    for v in (65537, M64):
        yield "nr_snapshots", v, Refuse("snapshot table has [0-9]+ entries, at most 65536")
    for v in (1, 65536):
        yield "nr_snapshots", v, Refuse("snapshot table offset 0x0 lies over the header")
    yield "snapshots_offset", 8, Refuse("snapshot table offset 0x8 is no multiple")
    yield "incompatible", 4, Refuse("data file")
    yield "incompatible", 8, Refuse("compression_type is 0, but the compression feature bit")
    yield "incompatible", 16, Refuse("cluster_bits is 12, must be at least 14 with extended")
    for v in _bits(5, 7) + _bits(31, 32) + _bits(62, 63) + [M64]:
        yield "incompatible", v, Refuse("incompatible feature bit [0-9]+ is not supported")
    for v in (1, 2, 3):
        yield "incompatible", v, whole
    yield "compatible", M64, whole
    yield "autoclear", 1 << 63, whole
    yield "autoclear", 2, Refuse("raw external data feature bit without")
    yield "compression_type", 1, Refuse("compression_type is 1, but the compression feature bit")
    for v in (2, 255):
        yield "compression_type", v, Refuse("compression_type [0-9]+ is not supported")


def backing_cases(image):
    """(offset, length, expectation) of the backing file's name in a version 3 image."""
    yield 8, 10, Refuse("backing file name offset 0x8 lies over the header")
    yield 111, 10, Refuse("backing file name offset 0x6f lies over the header")
    yield 200, 1024, Refuse("backing file name has 1024 bytes, at most 1023")
    yield 200, M64, Refuse("backing file name has 4294967295 bytes, at most 1023")
    yield image.cluster - 9, 10, Refuse("backing file name offset .* first cluster's end")
    yield len(image.data), 1, Refuse("backing file name offset .* beyond")
    yield M64, 1, Refuse("backing file name offset .* beyond")
    yield M64, 1023, Refuse("backing file name offset .* beyond")
    yield 0, 1023, [(0, image.size, REF)]
    yield 200, 0, [(0, image.size, REF)]


def extension_cases():
    """(bytes behind the header, expectation)."""
    def ext(kind, length, data=b""):
        return kind.to_bytes(4, "big") + length.to_bytes(4, "big") + data
    yield ext(1, 0xffffffff), Refuse("header extension 0x00000001 .* only [0-9]+ are left")
    yield ext(1, 3981), Refuse("header extension 0x00000001 .* only 3976 are left")
    yield ext(0xe2792aca, 16, b"x" * 16), Refuse("\"backing format\" has 16 bytes")
    yield ext(0x23852875, 23, b"x" * 24), Refuse("\"bitmaps\" has 23 bytes, must be 24")
    yield ext(0x0537be77, 16, b"x" * 16), Refuse("\"crypto header\" with crypt_method 0")
    yield ext(2, 3968, bytes(3968)), REF
    yield ext(2, 3976, bytes(3976)), REF


def header_cases_v1(image):
    whole = [(0, image.size, REF)]
    for v in BITS:
        if v != image.cluster_bits:
            yield "cluster_bits", v, ANY if 9 <= v <= 16 else \
                Refuse("cluster_bits is [0-9]+, must be 9 to 16")
        if v != image.l2_bits:
            yield "l2_bits", v, ANY if 6 <= v <= 13 else \
                Refuse("l2_bits is [0-9]+, must be 6 to 13")
    for v in (0, 1):
        yield "size", v, Refuse("size is [01], must be at least 2")
    for v in (1 << 62, (1 << 63) - 1):
        yield "size", v, Refuse("size [0-9]+ needs [0-9]+ L1 table entries")
    yield "size", M64, Refuse("size is [0-9]+, at most")
    yield "crypt_method", 1, Refuse("crypt_method 1 \\(AES\\)|encrypted")
    for v in (2, M64):
        yield "crypt_method", v, Refuse("crypt_method is [0-9]+, must be 0 to 1")
    for v in (0, 47):
        yield "l1_offset", v, Refuse("L1 table offset .* lies over the header")
    for v in (1 << 63, M64):
        yield "l1_offset", v, Refuse("L1 table offset .* beyond the file's end")
    yield "l1_offset", len(image.data), [(0, image.size, ZERO)]
    yield "backing_offset", M64, whole


def snapshot_cases(image):
    """(offset in the first entry of the snapshot table, width, value, pattern)."""
    end = image.end()
    yield 0, 8, 8, "L1 table offset 0x8 is no multiple"
    yield 0, 8, 0, "L1 table offset 0x0 lies over the header"
    for v in (1 << 63, M64 - image.cluster + 1):
        yield 0, 8, v, "L1 table offset .* beyond the file's end"
    yield 8, 4, M64, "L1 table has [0-9]+ entries, at most"
    yield 12, 2, M64, "snapshots_offset .*: the table does not end in"
    yield 14, 2, M64, "snapshots_offset .*: the table does not end in"
    yield 36, 4, 1025, "snapshot table entry 0 has 1025 bytes of extra data"
    yield 36, 4, M64, "snapshot table entry 0 has 4294967295 bytes of extra data"
    yield 48, 8, 1 << 62, "size [0-9]+ needs [0-9]+ L1 table entries"
    yield 48, 8, M64, "size is [0-9]+, at most"


def l1_cases(image, guest):
    """(entry of an L1 table, what the log says of it)."""
    good = image.number(image.l1_at(guest), 8)
    host = good & ((1 << 56) - 1)
    for bit in _bits(56, 63 if image.v1 else 62):
        if image.v1 or bit not in (1 << 57, 1 << 60):
            yield good | bit, f"L1 entry .*: reserved bits {bit:#x}"
    if image.v1:
        for v in (1, 47):
            yield v, f"L1 entry .*: L2 table over the header {v:#x}"
    else:
        for bit in (1, 256):
            yield good | bit, f"L1 entry .*: reserved bits {bit:#x}"
        yield good | 512, f"L1 entry .*: L2 table not at a cluster border {host | 512:#x}"


def beyond_cases(image, guest):
    """(where, entry, start, end) of tables and clusters that begin beyond the end."""
    for v in (image.end(), (1 << 56) - image.cluster):
        entry = image.number(image.l1_at(guest), 8) & -(1 << 56) | v
        start = guest // image.reach * image.reach
        yield image.l1_at(guest), entry, start, start + image.reach
        entry = image.number(image.l2_at(guest), 8) & -(1 << 56) | v
        yield image.l2_at(guest), entry, guest, guest + image.cluster


def l2_cases(image, guest):
    """(entry, bitmap or None, what the log says) for a cluster with data."""
    good = image.number(image.l2_at(guest), 8)
    host = good & ((1 << 56) - 1)
    bitmap = image.number(image.l2_at(guest) + 8, 8) if image.extended else None
    for bit in (1 << 56, 1 << 61):
        yield good | bit, bitmap, f"L2 entry .*: reserved bits {bit:#x}"
    if image.v1:
        yield good | 1, bitmap, f"L2 entry .*: unaligned host offset {host | 1:#x}"
    else:
        for bit in (1 if image.extended else 2, 256):
            yield good | bit, bitmap, f"L2 entry .*: reserved bits {bit:#x}"
        yield good | 512, bitmap, f"L2 entry .*: unaligned host offset {host | 512:#x}"
    if image.extended:
        yield good, 1 << 32 | 1, "L2 subcluster bitmap .*: subclusters both allocated and zero"
        yield good, M64, "L2 subcluster bitmap .*: subclusters both allocated and zero"
        yield 0, 1 << 31, "L2 subcluster bitmap .*: .*allocated without a host cluster"
        yield 1 << 62, 1, "L2 subcluster bitmap .*: subclusters of a compressed cluster 0x1"


def compressed_entry(image, host, length):
    """The L2 entry of compressed data."""
    if image.v1:
        return 1 << 63 | (length << (63 - image.cluster_bits)) | host
    sectors = (host % 512 + length - 1) // 512
    return 1 << 62 | (sectors << (62 - (image.cluster_bits - 8))) | host


def compressed_cases(image, garbage, short, bomb):
    """(entry, kind, what the log says) for any cluster. @garbage: host offset of bytes
    that are no valid stream, @short: of one that ends early, @bomb: of one that goes on.
    """
    none = "compressed cluster at .*: no valid [a-z]+ data in [0-9]+ bytes"
    end = image.end()
    most = image.cluster - 1 if image.v1 else 2 * image.cluster
    yield compressed_entry(image, garbage, 700), EIO, none
    yield compressed_entry(image, garbage, most), EIO, none
    yield compressed_entry(image, short, 512), EIO, none
    yield compressed_entry(image, bomb, most), ZERO, None
    yield compressed_entry(image, len(image.data) - 3, most), EIO, none
    beyond = "compressed cluster at .*: beyond the end of the file"
    yield compressed_entry(image, end, 512), EIO, beyond
    if image.v1:
        yield 1 << 63 | garbage, EIO, "L2 entry .*: compressed cluster of no bytes"
    else:
        # as far as a host offset goes, with the longest data
        far = (1 << min(56, 62 - (image.cluster_bits - 8))) - 512
        yield compressed_entry(image, far, most), EIO, beyond


def scatter(image):
    """The same content with no two clusters of data next to each other where they were."""
    guests = [g for g in image.clusters() if image.host(g)]
    for one, other in zip(guests[:len(guests) // 2], guests[len(guests) // 2:]):
        if one // image.cluster % 2:
            continue
        spots = image.host(one), image.host(other)
        data = [bytes(image.data[s:s + image.cluster]) for s in spots]
        entries = [image.number(image.l2_at(g), 8) for g in (one, other)]
        for spot, part in zip(spots, reversed(data)):
            image.data[spot:spot + image.cluster] = part
        for guest, entry in zip((one, other), reversed(entries)):
            image.set_number(image.l2_at(guest), 8, entry)


def _snapshot_tables(image):
    """(offset, bytes) of the snapshot table, and of the snapshots' L1 tables."""
    places, at = [], image.get("snapshots_offset")
    for _ in range(image.get("nr_snapshots")):
        places.append((image.number(at, 8), 8 * image.number(at + 8, 4)))
        at += 40 + image.number(at + 36, 4) + image.number(at + 12, 2) + image.number(at + 14, 2)
        at += -at % 8
    if places:
        places.append((image.get("snapshots_offset"), at - image.get("snapshots_offset")))
    return places


def _bitmap_tables(image):
    """The directory of persistent bitmaps and their tables."""
    at = image.get("header_length")
    if image.get("version") < 3 or not image.get("autoclear") & 1:
        return []
    while image.number(at, 4) != 0x23852875:
        at += 8 + -(-image.number(at + 4, 4) // 8) * 8
    nr, pos = image.number(at + 8, 4), image.number(at + 24, 8)
    tables = [(pos, image.number(at + 16, 8))]
    for _ in range(nr):
        tables.append((image.number(pos, 8), 8 * image.number(pos + 8, 4)))
        pos += -(-(24 + image.number(pos + 20, 4) + image.number(pos + 18, 2)) // 8) * 8
    return tables


def structures(image):
    """What an image is made of: lists of (offset, width) of numbers, one for each kind of
    table that it has, the header first.
    """
    def entries(*places):
        return [(at + pos, 8) for at, length in places for pos in range(0, length, 8)]

    header = list(image.fields.values())
    l1 = (image.l1_offset, 8 * image.l1_entries)
    l2 = [(t, image.entry_bytes << image.l2_bits)
          for t in map(image.table, range(image.l1_entries)) if t]
    kinds = [header, entries(l1), entries(*l2)]
    if not image.v1:
        counts = image.get("refcount_table_offset"), image.cluster
        blocks = [(image.number(at, 8), image.cluster) for at, _ in entries(counts)]
        kinds += [entries(counts), entries(*(b for b in blocks if b[0])),
                  entries((image.get("header_length") or 72, 256)),
                  entries(*_snapshot_tables(image)), entries(*_bitmap_tables(image))]
    return [kind for kind in kinds if kind]


def _strange(image, old, width, kind, below):
    """A number that @old might be mistaken for."""
    flags = old & 0xff << 56
    ways = (
        lambda: 0, lambda: M64, lambda: below(256), lambda: 1 << below(64),
        lambda: old ^ 1 << below(8 * width), lambda: old ^ 1 << below(8 * width),
        lambda: old + 1, lambda: old - 1, lambda: old + 512, lambda: old + image.cluster,
        lambda: old ^ 1 << 63, lambda: old | 1 << 62,
        # what lies elsewhere, twice
        lambda: image.number(*kind[below(len(kind))]),
        lambda: image.number(*kind[below(len(kind))]),
        lambda: flags | below(image.end() // image.cluster + 2) * image.cluster,
        lambda: flags | below(image.end() // image.cluster + 2) * image.cluster,
        lambda: flags | below(len(image.data)),
        lambda: flags | (1 << 56) - image.cluster,
    )
    return ways[below(len(ways))]()


def mutate(image, kinds, below):
    """Changes some numbers of an image, or where its file ends; what was done."""
    done = []
    for _ in range(1 + below(6)):
        # a wrong header is mostly refused, and hides the rest
        kind = kinds[below(len(kinds)) if not below(4) else 1 + below(len(kinds) - 1)]
        at, width = kind[below(len(kind))]
        if below(40):
            value = _strange(image, image.number(at, width), width, kind, below)
            image.set_number(at, width, value)
            done.append(f"{at:#x}={image.number(at, width):#x}")
        else:
            length = below(len(image.data) + 1)
            del image.data[length:]
            image.data += bytes(below(2) * 3 * image.cluster)
            done.append(f"{len(image.data)} bytes, from {length} on zeros")
    return ",".join(done)
