#!/bin/bash
# Images that cannot be read are refused with a message that says why: unknown
# versions, and unknown features by their name.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# refused STATUS REGEX IMAGE
refused() { assert_refused "$1" "$2" qcowctl attach -r "$3"; }

qemu-img create -q -f qcow2 image 1M
cp image version
poke version 4 00000004
refused 5 'version 4 is not supported' version
cp image other
poke other 0 51464900
refused 3 'not a QCOW image' other
qemu-img create -q -f vdi vdi 1M
refused 3 'not a QCOW image' vdi

# the table of names says what incompatible bit 9 is
cp image feature
at=$(grep -abo 'lazy refcounts' feature | cut -d: -f1)
poke feature $((at - 2)) 0009
poke feature $((at)) "$(printf 'fast water' | od -An -v -t x1 | tr -d ' \n')00"
poke feature 72 0000000000000200
refused 5 'incompatible feature "fast water" \(bit 9\) is not supported' feature
poke feature 72 0000000100000000
refused 5 'incompatible feature bit 32 is not supported' feature
assert_eq "$(qcowctl list)" '' list
