#!/bin/bash
# Swap on devices whose clusters are yet to be allocated, and a file system on one: programs
# with several times the memory that they may have find in it what they wrote, and so does who
# copies files with as little.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
cgroups=/sys/fs/cgroup
grep -qw memory "$cgroups/cgroup.controllers" || fail "the kernel has no memory controller"
echo +memory >"$cgroups/cgroup.subtree_control"

# limited NAME MIB COMMAND...: with so much memory
limited() {
	local group=$cgroups/$1
	mkdir -p "$group"
	echo $(($2 << 20)) >"$group/memory.max"
	(
		echo "$BASHPID" >"$group/cgroup.procs"
		exec "${@:3}"
	)
}

# stamps MIB SEED: writes to all of its memory in random order, twice, and looks
stamps() {
	limited "stamps$2" 40 python3 -ES - "$@" <<'PYTHON'
import mmap
import sys
from _random import Random

size, random = int(sys.argv[1]) << 20, Random(int(sys.argv[2]))
memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
pages = size >> 12
want = [0] * pages


def check(page):
    for at in (page << 12, (page << 12) + 4088):
        got = int.from_bytes(memory[at:at + 8], "little")
        if got != want[page]:
            sys.exit(f"page {page} at {at}: {got:#x}, not {want[page]:#x}")


for step in range(2):
    # a stride without common factors goes to every page once
    stride = int(random.random() * 1000) * 2 + 1
    for i in range(pages):
        page = i * stride % pages
        check(page)
        want[page] = (step + 1 << 32) + page
        stamp = want[page].to_bytes(8, "little")
        memory[page << 12:(page << 12) + 8] = stamp
        memory[(page << 12) + 4088:page + 1 << 12] = stamp
for page in range(pages):
    check(page)
PYTHON
}

devices=()
for options in cluster_size=64K cluster_size=4K,compat=0.10; do
	qemu-img create -q -f qcow2 -o "$options" "swap.$options" 160M
	dev=$(attach "swap.$options")
	mkswap "$dev" >/dev/null
	swapon -p 10 -d "$dev"
	devices+=("$dev")
done
qemu-img create -q -f qcow2 files 400M
dev=$(attach files)
mkfs.ext4 -q "$dev"
mkdir mnt
mount "$dev" mnt
fill data 60M

pids=()
for seed in 1 2; do
	stamps 96 "$seed" &
	pids+=("$!")
done
# shellcheck disable=SC2016 # the inner shell's
limited copy 24 sh -c 'for i in 1 2 3; do cp data mnt/$i && sync mnt/$i; done' &
pids+=("$!")
for pid in "${pids[@]}"; do
	wait "$pid" || fail "a program failed"
done
used=$(awk '/^pswpout/ { print $2 }' /proc/vmstat)
[[ $used -gt 10000 ]] || fail "only $used pages were swapped out"
for i in 1 2 3; do
	cmp data "mnt/$i" || fail "copy $i differs"
done
umount mnt
detach "$dev"
assert_clean files
for dev in "${devices[@]}"; do
	swapoff "$dev"
	detach "$dev"
done
for image in swap.*; do assert_clean "$image"; done
for seed in 1 2; do rmdir "$cgroups/stamps$seed"; done
rmdir "$cgroups/copy"
assert_not_logged "Out of memory|oom-kill"
