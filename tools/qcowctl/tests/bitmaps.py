# SPDX-License-Identifier: GPL-2.0
"""bitmaps.py IMAGE: a line for each persistent bitmap, in the order of their names: name,
granularity, flags, extra data, and what it says has changed.

bitmaps.py IMAGE WANT QCOWCTL: both have the same, and map prints the bits of each.

bitmaps.py IMAGE NAME FIELD VALUE: the entry of a bitmap says something else. FIELD is one of
table_offset, table_entries, flags, type, granularity_bits; or extra, with VALUE in hex; or name;
or entry, of its table, with a VALUE for the first one.

bitmaps.py IMAGE - FIELD VALUE: the header extension does: nr, reserved, dir_bytes, dir_offset."""
import json
import struct
import subprocess
import sys

IN_USE = 1
ENTRY = struct.Struct(">QIIBBHI")
EXTENSION = struct.Struct(">IIQQ")
FIELDS = (
    "table_offset",
    "table_entries",
    "flags",
    "type",
    "granularity_bits",
    "name_len",
    "extra_len",
)


class Image:
    def __init__(self, name):
        self.file = open(name, "r+b")
        head = self.read(0, 4096)
        self.cluster = 1 << struct.unpack(">I", head[20:24])[0]
        self.size = struct.unpack(">Q", head[24:32])[0] // 512 * 512
        self.entries = []
        at = struct.unpack(">I", head[100:104])[0]
        autoclear = struct.unpack(">Q", head[88:96])[0]
        while autoclear & 1:
            kind, length = struct.unpack(">II", self.read(at, 8))
            if kind == 0:
                sys.exit("no header extension")
            if kind == 0x23852875:
                self.at = at + 8
                self.read_directory()
                break
            at += 8 + (length + 7) // 8 * 8

    def read(self, at, length):
        self.file.seek(at)
        return self.file.read(length)

    def write(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def read_directory(self):
        nr, _, self.bytes, self.directory = EXTENSION.unpack(self.read(self.at, 24))
        data, at = self.read(self.directory, self.bytes), 0
        for _ in range(nr):
            entry = dict(zip(FIELDS, ENTRY.unpack_from(data, at)))
            at += ENTRY.size
            entry["extra"] = data[at : at + entry["extra_len"]]
            at += entry["extra_len"]
            entry["name"] = data[at : at + entry["name_len"]]
            at = (at + entry["name_len"] + 7) // 8 * 8
            self.entries.append(entry)
        assert at == self.bytes

    def write_directory(self):
        data = b""
        for entry in self.entries:
            entry["extra_len"] = len(entry["extra"])
            entry["name_len"] = len(entry["name"])
            data += ENTRY.pack(*(entry[field] for field in FIELDS))
            data += entry["extra"] + entry["name"]
            data += bytes(-len(data) % 8)
        assert len(data) <= self.cluster
        self.write(self.directory, data)
        self.write(self.at + 8, struct.pack(">Q", len(data)))

    def bits(self, entry):
        data = self.read(entry["table_offset"], entry["table_entries"] * 8)
        bits = b""
        for (value,) in struct.iter_unpack(">Q", data):
            host = value & 0x00FFFFFFFFFFFE00
            if host:
                part = self.read(host, self.cluster)
                assert len(part) == self.cluster
            else:
                part = (b"\xff" if value & 1 else b"\0") * self.cluster
            bits += part
        return bits

    def ranges(self, entry):
        """Pairs of start and end."""
        each, found = 1 << entry["granularity_bits"], []
        for index, byte in enumerate(self.bits(entry)):
            for bit in range(8) if byte else ():
                start = (index * 8 + bit) * each
                if not byte >> bit & 1:
                    continue
                assert start < self.size
                end = min(start + each, self.size)
                if found and found[-1][1] == start:
                    found[-1][1] = end
                else:
                    found.append([start, end])
        return found

    def lines(self):
        lines = {}
        for entry in sorted(self.entries, key=lambda e: e["name"]):
            name, flags = entry["name"].decode(), entry["flags"]
            lines[name] = (
                1 << entry["granularity_bits"],
                flags,
                entry["extra"].hex() or "-",
                "-" if flags & IN_USE else self.ranges(entry),
            )
        return lines


def compare(name, other, program):
    got, want = Image(name).lines(), Image(other).lines()
    if got != want:
        sys.exit(f"{got}, not {want}")
    for bitmap, line in got.items():
        done = subprocess.run(
            [program, "map", "--bitmap", bitmap, "--output", "json", name],
            check=True,
            capture_output=True,
        )
        ranges = [[r["start"], r["start"] + r["length"]] for r in json.loads(done.stdout)]
        if ranges != line[3]:
            sys.exit(f"map of {bitmap}: {ranges}, not {line[3]}")


def change(image, name, field, value):
    if name == "-":
        fields = {"nr": (0, ">I"), "reserved": (4, ">I"), "dir_bytes": (8, ">Q")}
        at, form = fields.get(field, (16, ">Q"))
        image.write(image.at + at, struct.pack(form, int(value, 0)))
        return
    entry = next(e for e in image.entries if e["name"] == name.encode())
    if field == "entry":
        image.write(entry["table_offset"], struct.pack(">Q", int(value, 0)))
        return
    if field == "extra":
        entry[field] = bytes.fromhex(value)
    elif field == "name":
        entry[field] = value.encode()
    else:
        entry[field] = int(value, 0)
    image.write_directory()


def main():
    if len(sys.argv) == 4:
        compare(*sys.argv[1:])
    elif len(sys.argv) > 4:
        change(Image(sys.argv[1]), *sys.argv[2:])
    else:
        for name, line in Image(sys.argv[1]).lines().items():
            print(name, *line)


if __name__ == "__main__":
    main()
