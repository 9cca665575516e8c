#!/bin/bash
# By its other names the program takes what mount(8) and umount(8) give it, and has their statuses.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

for name in mount.qcow2 mount.qcow umount.qcow2; do
	ln -s "$QCOWCTL" "$name"
done
# helper STATUS TEXT NAME ARGUMENT...: it ends with the status and says the text
helper() {
	local status=0
	"./$3" "${@:4}" >said 2>&1 || status=$?
	[[ $status -eq $1 ]] || die "$3 ${*:4}: status $status: $(cat said)"
	[[ -z $2 ]] || grep -qF -- "$2" said || die "$3 ${*:4}: $(cat said)"
}
"$QCOWCTL" create -q image 1M
for name in mount.qcow2 mount.qcow; do
	helper 0 '' "$name" image dir -sfnv -o rw,noatime,partition=1 -N /proc/self/ns/mnt -t qcow2.ext4
	helper 1 "'x' is no number" "$name" image dir -o ro,partition=x
	helper 1 'an image and a directory are wanted, 1 given' "$name" image
	helper 32 'absent' "$name" absent dir -o ro
done
helper 1 'one directory is wanted, 0 given' umount.qcow2 -v
helper 32 'cannot be unmounted' umount.qcow2 ./absent -n -t qcow2
