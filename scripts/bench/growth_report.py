#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What scripts/bench/guest/growth has left, as figures and as a table.

  scripts/bench/growth_report.py DIRECTORY

scripts/bench/report takes it in, as it does what is missing there: an error.
"""
import json
import os
import statistics
import sys

# What the first image takes may be exceeded by: reads by a tenth; attaching, which has to
# read the whole L1 table (1 MiB for 64 TiB in clusters of 64 KiB), by a fourth. How long
# attaching takes depends on the size of the header's cluster, too: no matter of growth.
MOST = {"hit": 1.1, "attach": 1.25}
WHAT = {"hit": "read 4 KiB, hit", "miss": "read 4 KiB, miss",
        "hole": "read 4 KiB, hole", "attach": "qcowctl attach"}


def instructions_of_read(path):
    """With -icount shift=0 an instruction takes a nanosecond."""
    with open(path, encoding="utf-8") as f:
        job, = json.load(f)["jobs"]
    done = job["read"]
    if job["error"] or job["write"]["total_ios"] or done["total_ios"] < 1000 or \
            done["io_bytes"] != done["total_ios"] * 4096:
        raise ValueError(f"{path}: error {job['error']}, {done['total_ios']} reads")
    return done["runtime"] * 1e6 / done["total_ios"]


def instructions_of_attach(path):
    with open(path, encoding="utf-8") as f:
        samples = [int(line) for line in f]
    if min(samples) <= 0:
        raise ValueError(f"{path}: {samples}")
    return statistics.median(samples)


def measured(directory, name):
    """(what, instructions) of one image"""
    yield "hit", instructions_of_read(os.path.join(directory, f"{name}.json"))
    for what in ("miss", "hole"):
        path = os.path.join(directory, f"{name}.{what}.json")
        if os.path.exists(path):
            yield what, instructions_of_read(path)
    yield "attach", instructions_of_attach(os.path.join(directory, f"{name}.attach"))


def growth_of(directory):
    """A figure each, the first image's `hit` and `attach` being what is compared with"""
    result, first = [], {}
    with open(os.path.join(directory, "titles"), encoding="utf-8") as f:
        titles = [line.strip().split(" ", 1) for line in f]
    for name, title in titles:
        for what, value in measured(directory, name):
            entry = {"id": name, "title": title, "what": what, "value": value,
                     "unit": "instructions"}
            other = first.setdefault(what, value) if what in MOST else None
            if other and name != titles[0][0]:
                entry["ratio"] = value / other
                same_clusters = name.split("-")[1] == titles[0][0].split("-")[1]
                if what == "hit" or same_clusters:
                    entry["at_most"] = MOST[what]
                    entry["met"] = entry["ratio"] <= MOST[what]
            result.append(entry)
    return result


def growth_text(growth):
    lines = [("", "", "instructions", "x first", "at most")]
    for entry in sorted(growth, key=lambda e: list(WHAT).index(e["what"])):
        bound = "-"
        if "met" in entry:
            bound = f"{entry['at_most']:g} {'met' if entry['met'] else 'NOT met'}"
        lines.append((WHAT[entry["what"]], entry["title"], f"{entry['value']:,.0f}",
                      f"{entry['ratio']:.2f}" if "ratio" in entry else "", bound))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    return "\n".join("  ".join(
        cell.rjust(width) if i in (2, 3) else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


if __name__ == "__main__":
    try:
        print(growth_text(growth_of(sys.argv[1])))
    except (OSError, KeyError, ValueError, IndexError) as err:
        sys.exit(f"growth_report: {type(err).__name__}: {err}")
