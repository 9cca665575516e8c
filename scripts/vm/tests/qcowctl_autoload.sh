#!/bin/bash
# qcowctl attach loads the module; doctor finds it before and afterwards.
# kernels: 6.12 6.1
# timeout: 60
# module: no
. "$QCOW_ROOT/scripts/vm/lib.sh"

[[ ! -d /sys/module/qcow ]] || fail "it is loaded already"
version=$(qcowctl --version)
qcowctl doctor >found || fail "doctor: $(<found)"
grep -qE "^ok +module +/.*/qcow\.ko[^ ]*, version ${version#* }: attach loads it\$" found ||
	fail "doctor: $(<found)"
grep -qE '^ok +signature +none is asked for' found || fail "doctor: $(<found)"
qemu-img create -q -f qcow2 image 1M
dev=$(attach -r image)
[[ -d /sys/module/qcow ]] || fail "it is not loaded"
qcowctl doctor >found || fail "doctor: $(<found)"
grep -qE "^ok +module +loaded, version ${version#* }\$" found || fail "doctor: $(<found)"
grep -qE '^ok +node ' found || fail "doctor: $(<found)"
detach "$dev"
