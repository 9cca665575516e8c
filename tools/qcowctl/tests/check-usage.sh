#!/bin/bash
# The statuses of check are those of qemu-img check, whatever goes wrong.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 image 1M
expect 1 'one image is wanted' check
expect 1 'neither leaks nor all' check -r most image
expect 1 'neither human nor json' check --output xml image
expect 1 'cannot open|No such file' check absent
head -c 1M /dev/zero >zeros
expect 63 'not a QCOW image' check zeros
: >empty
expect 63 'not a QCOW image' check empty
# version 4
cp image bad
poke bad 4 00000004
expect 1 'version 4' check bad
# quiet is quiet
python3 "$here/fault.py" leak image
expect 3 'leaked' check image
ends 3 check -q image
[[ ! -s out && ! -s err ]] || die "check -q says something"
ends 3 check -p image
! grep -q '%' err || die "a progress bar without a terminal"
# a full disk under the output is no verdict on the image
status=0
"$QCOWCTL" check image >/dev/full 2>/dev/null || status=$?
[[ $status -eq 1 ]] || die "status $status with a full disk"
# a terminal has a bar
if command -v script >/dev/null; then
	script -qec "$QCOWCTL check -p image" /dev/null >typescript </dev/null || :
	grep -q '100.0%' typescript || die "no progress bar on a terminal"
fi
"$QCOWCTL" check -r leaks image >out 2>err
"$QCOWCTL" check image >out
grep -q 'No errors' out
# leaks are not freed where an entry that cannot be followed may need them
create qcow2 image 1M
io image qcow2 'write 0 1M'
python3 "$here/fault.py" beyond-l1 image
cp image before
expect 2 'only -r all frees it' check -r leaks image
cmp image before
