#!/bin/bash
# A hundred attaches, reads and detaches leave nothing behind: no device, no
# open file, no memory of the driver's, no thread, no reference to the module.
# kernels: 6.12 6.1 debug
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
truncate -s 64K base
qemu-img create -q -f qcow2 -b base -F raw -o data_file=image.data image 1M
qemu-img create -q -f qcow2 -b image -F qcow2 -o cluster_size=4K top 1M
image_io qcow2 top "write -c -s text1 0 4K" "write -s noise2 64K 100K"
raw_of top

python - <<'PY'
import errno
import os
import time

import qcowdev as q

rounds = 30 if os.environ["QCOW_KERNEL"] == "debug" else 100


def slabs():
    """Objects of the driver's caches; shrinking makes the numbers exact."""
    for name in os.listdir("/sys/kernel/slab"):
        if name.startswith("qcow_"):
            with open(f"/sys/kernel/slab/{name}/shrink", "w") as f:
                f.write("1")
    with open("/proc/slabinfo") as f:
        return {line.split()[0]: int(line.split()[1]) for line in f if line.startswith("qcow_")}


def settled():
    """The same when what is on its way through RCU has been freed"""
    time.sleep(1)
    return slabs()


def threads():
    result = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                result.append(f.read().strip())
        except OSError:
            pass
    # the queues of the module are there as long as it is
    return [name for name in result if name.startswith("qcow") and "/" not in name
            and name not in ("qcow_detach", "qcow_compress", "qcow_decrypt")]


def files():
    with open("/proc/sys/fs/file-nr") as f:
        return int(f.read().split()[0])


def once(number):
    with open("top", "rb", 0) as top, open("image", "rb", 0) as image, \
            open("image.data", "rb", 0) as data, open("base", "rb", 0) as base:
        layers = ((top.fileno(),), (image.fileno(), data.fileno()),
                  (base.fileno(), -1, q.RAW))
        err, index = q.attach(*layers, flags=q.READ_ONLY)
        assert not err, (number, err, q.message)
        # one that fails when all layers are open
        if not number % 4:
            err, _ = q.attach(*layers, (image.fileno(), data.fileno()))
            assert err == errno.ELOOP, (number, err)
    with open(f"/dev/qcow{index}", "rb", 0) as dev:
        got = os.pread(dev.fileno(), 1 << 20, 0)
    assert got == want, number
    err = q.detach(index)
    assert not err, (number, err, q.message)


with open("top.raw", "rb") as f:
    want = f.read()
once(-1)
before = settled(), files()
for number in range(rounds):
    once(number)
after = settled()
print(f"before: {before}, after: {(after, files())}, threads: {threads()}")
assert not [name for name in os.listdir("/sys/block") if name.startswith("qcow")]
assert not [name for name in os.listdir("/dev") if name.startswith("qcow") and "-" not in name]
# every CPU keeps up to 32 of its own count
assert abs(files() - before[1]) < 80, "files are left open"
assert not threads(), threads()
assert after == before[0], "memory is left allocated"
PY
# `python` had the control node open
assert_eq "$(cut -d' ' -f3 <<<"$(grep '^qcow ' /proc/modules)")" 0 "references to the module"
assert modprobe -r qcow
assert_eq "$(grep -c '^qcow_' /proc/slabinfo || true)" 0 "caches of the driver"
# on a kernel that looks for leaks (kmemleak=on)
if echo scan 2>/dev/null >/sys/kernel/debug/kmemleak; then
	! grep -A 12 'qcow' /sys/kernel/debug/kmemleak || fail "memory leaks"
fi
