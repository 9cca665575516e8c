# SPDX-License-Identifier: GPL-2.0
"""Compare JSON of qemu-img (first file) and qcowctl (second): info or map; or, with
create and create-map, what qemu-img says of two images that shall be alike."""
import json
import sys


def merged(ranges):
    """Neighbours that only differ in where they were cut become one."""
    out = []
    for r in ranges:
        r = {k: v for k, v in r.items() if k != "compressed"}
        last = out[-1] if out else None
        same = last and all(
            last.get(k) == r.get(k) for k in ("depth", "present", "zero", "data")
        )
        if same and ("offset" in last) == ("offset" in r):
            if "offset" not in r or last["offset"] + last["length"] == r["offset"]:
                last["length"] += r["length"]
                continue
        out.append(r)
    return out


def without(tree, keys):
    """Also in what is inside."""
    if isinstance(tree, list):
        return [without(t, keys) for t in tree]
    if not isinstance(tree, dict):
        return tree
    return {k: without(v, keys) for k, v in tree.items() if k not in keys}


def main():
    what, want_name, got_name = sys.argv[1:]
    with open(want_name, encoding="utf-8") as f:
        want = json.load(f)
    with open(got_name, encoding="utf-8") as f:
        got = json.load(f)
    # Where in its file an image has something, and whether it is a hole there, is its
    # own affair.
    if what == "create":
        keys = ("filename", "full-backing-filename", "actual-size", "children")
        want, got = without(want, keys), without(got, keys)
    if what == "create-map":
        want, got = (
            [{**r, "zero": not r["data"]} for r in without(ranges, ("offset",))]
            for ranges in (want, got)
        )
    if what in ("map", "create-map"):
        want, got = merged(want), merged(got)
    if want == got:
        return 0
    want = json.dumps(want, indent=1, sort_keys=True)
    got = json.dumps(got, indent=1, sort_keys=True)
    print(f"qemu-img: {want[:4000]}\nqcowctl: {got[:4000]}", file=sys.stderr)
    return 1


sys.exit(main())
