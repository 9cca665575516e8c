#!/bin/bash
# Locks come first: a rebase or a commit that ends before them is seen.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw a 1M
create raw b 1M
create qcow2 -b a -F raw mid
create qcow2 -b mid -F qcow2 top
layers() { [[ $(tr '\n' ' ' <out) == "$* " ]] || die "not $*: $(cat out)"; }
"$TEST_ORDER" top 'qemu-img rebase -u -b b -F raw mid' >out
layers top mid b
"$TEST_ORDER" top 'qemu-img rebase -u -b b -F raw top' >out
layers top b
"$TEST_ORDER" top 'qemu-img rebase -f qcow2 -b "" top' >out
layers top
