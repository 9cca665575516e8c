#!/bin/bash
# Nobody but root of the initial user namespace attaches or detaches, whatever
# descriptors he has been given.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

assert_eq "$(stat -c '%a %U' /dev/qcow-control)" "600 root" "control node"
qemu-img create -q -f qcow2 image 1M
dev=$(attach -r image)
cat >try.py <<'PY'
import errno
import os
import sys

import qcowdev as q

image = os.open("image", os.O_RDONLY)
if sys.argv[1] == "nobody":
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
q.refused(f"attach, {sys.argv[1]}", errno.EPERM, (image,))
q.expect(f"detach, {sys.argv[1]}", q.detach(0), errno.EPERM)
q.finish()
PY
python - nobody <try.py
PYTHONPATH=$QCOW_ROOT/scripts/vm/guest unshare -U -r python3 -SB - namespace <try.py ||
	fail "root of another user namespace"
assert_fails 'CAP_SYS_ADMIN|run it as root' \
	setpriv --reuid 0 --bounding-set -sys_admin --inh-caps -sys_admin \
	qcowctl attach -r image

# what needs no root
chmod a+rx . ..
chmod a+r image
user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
assert_refused 2 'run it as root' "${user[@]}" qcowctl attach -r image
assert_fails 'run it as root' "${user[@]}" qcowctl detach "$dev"
assert_eq "$("${user[@]}" qcowctl list -n --raw -o NAME)" "$dev" "list"
assert "${user[@]}" qcowctl info image >/dev/null
detach "$dev"
