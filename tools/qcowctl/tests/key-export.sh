#!/bin/bash
# The volume key in a file, as another program finds it; none after a failure.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
printf secret >key
printf wrong >wrong
create_luks image 1M
python3 "$here/volume_key.py" image key >want
cp image before
(umask 0 && "$QCOWCTL" key export --key-file key --volume-key-file got image)
cmp got want
[[ $(stat -c %a got) == 600 ]]
printf secret | "$QCOWCTL" key export --key-file - --volume-key-file - image | cmp - want
# whatever becomes of the slots
printf new >new
"$QCOWCTL" key change --key-file key --new-key-file new --iter-time 10 image
"$QCOWCTL" key export --key-file new --volume-key-file - image | cmp - want
cp before image
# of another program
hold_lock rw image
"$QCOWCTL" key export --key-file key --volume-key-file - image | cmp - want
release

refuses() { expect "$1" "$2" key export "${@:3}" image; }
refuses "$WRONG_KEY" 'opens no key slot' --key-file wrong --volume-key-file other
refuses "$NOT_FOUND" 'absent: cannot open' --key-file absent --volume-key-file other
[[ ! -e other ]]
refuses "$USAGE" 'got: cannot create a file for the volume key: File exists' --key-file key \
	--volume-key-file got
cmp got want
# where it cannot be written
status=0
"$QCOWCTL" key export --key-file key --volume-key-file - image 2>err >/dev/full || status=$?
[[ $status -eq 2 ]] && grep -q 'standard output: cannot write the volume key: No space' err
status=0
(trap '' XFSZ && ulimit -f 0 && exec "$QCOWCTL" key export --key-file key --volume-key-file other image \
	2>/dev/full) || status=$?
[[ $status -eq 2 && ! -e other ]]
# interrupted, its file is whole
cc -O1 -shared -fPIC -D_GNU_SOURCE -o signalled.so "$here/signalled.c"
status=0
ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 LD_PRELOAD=$PWD/signalled.so \
	"$QCOWCTL" key export --key-file key --volume-key-file other image || status=$?
[[ $status -eq 143 ]] || die "not interrupted: status $status"
cmp other want || die "half of the volume key is left"
rm other
refuses "$USAGE" 'export wants a --volume-key-file' --key-file key
refuses "$USAGE" '--slot: only with add, change, erase$' --slot 1 --volume-key-file other
cmp image before

# the old encryption: the passphrase is the key
create qcow2 "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key image 1M
"$QCOWCTL" key export --key-file key --volume-key-file aes image
head -c 16 <(cat key /dev/zero) | cmp - aes
create qcow2 image 1M
refuses "$UNSUPPORTED" 'image: is not encrypted' --key-file key --volume-key-file other
