#!/bin/bash
# What is there is replaced only with --force, if no process uses it, and stays if create fails.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

umask 027
"$QCOWCTL" create image 1M
[[ $(stat -c %a image) == 640 ]]
cp image before
refuse "$POLICY" 'image: exists, and is not replaced' image 2M
grep -q 'try: --force' err
refuse "$POLICY" 'image: exists' -f qcow -o size=2M ./image
refuse "$POLICY" 'image: exists' -o data_file=image other 2M
cmp image before
echo old >image
chmod 606 image
refuse "$POLICY" 'image: exists' image 1M
"$QCOWCTL" create --force image 1M
qemu-img check -q image
# in an empty file there is nothing to lose
: >empty
"$QCOWCTL" create empty 1M
qemu-img check -q empty
[[ $(stat -c %a image) == 606 ]]
# through a link to the file, which stays a link
mkdir dir
echo old >dir/file
ln -s dir/file link
refuse "$POLICY" 'link: exists' link 1M
"$QCOWCTL" create --force link 1M
[[ -L link ]]
qemu-img check -q dir/file
[[ $(ls -A dir) == file ]]
# nothing but a file or a disk
ln -s nowhere dangling
mkfifo fifo
ln -s /dev/null null
for name in dir fifo null; do
	refuse "$POLICY" "$name: neither a regular file nor a block device" "$name" 1M
done
refuse "$POLICY" 'dangling: is a symbolic link to nothing' dangling 1M
refuse "$NOT_FOUND" 'cannot open the directory' no/image 1M
refuse "$NOT_FOUND" 'new/: cannot create' new/ 1M
refuse "$NOT_FOUND" 'cannot create' '' 1M
[[ -p fifo && -L dangling && ! -e nowhere ]]
# in use
"$QCOWCTL" create --force image 1M
cp image before
mkfifo in.fifo
qemu-io -r -f qcow2 image <in.fifo >qemu.log 2>&1 &
holder=$!
exec {feed}>in.fifo
echo 'read 0 512' >&"$feed"
for _ in $(seq 100); do
	! grep -q 'read 512/512' qemu.log || break
	sleep 0.1
done
refuse "$BUSY" 'image: is in use' --force image 2M
exec {feed}>&-
wait "$holder"
cmp image before
"$QCOWCTL" create --force image 2M
qemu-img info image | grep -q 2097152
