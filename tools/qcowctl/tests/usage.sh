#!/bin/bash
# A wrong command line ends with the usage status and says where help is.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

expect "$USAGE" 'Usage:'
expect "$USAGE" 'no such command' frobnicate
expect "$USAGE" 'try: qcowctl attach --help' attach
expect "$USAGE" 'one image is wanted, 2 given' attach a b
expect "$USAGE" 'try: qcowctl attach --help' attach --frobnicate a
for command in attach detach list info map create check snapshot bitmap key overlay fork rename \
	rebase stream commit resize compact set job; do
	expect "$USAGE" "^qcowctl: $command: unrecognized option '--frobnicate'$" "$command" --frobnicate
done
expect "$USAGE" "^qcowctl: create: option requires an argument -- 'o'$" create -o
expect "$USAGE" 'none of auto, on, off' attach --direct-io maybe a
expect "$USAGE" 'no number from 1' attach --nr-queues 0 a
expect "$USAGE" 'no number from 1' attach --queue-depth -3 a
expect "$USAGE" 'no size' attach --cache-size 1X a
expect "$USAGE" 'form qcowN' attach --device loop0 a
expect "$USAGE" 'none of raw, qcow, qcow2' attach --backing-format vmdk a
expect "$USAGE" 'no device and no image' detach
expect "$USAGE" 'exclude each other' detach --all qcow0
expect "$USAGE" '--delete and --lazy exclude each other' detach --delete --lazy qcow0
expect "$USAGE" '--delete and --all exclude each other' detach --delete --all
expect "$USAGE" 'an image and a directory are wanted, 1 given' mount a
expect "$USAGE" 'a number and the root exclude each other' mount --root -o partition=1 a b
expect "$USAGE" "'0' is no number from 1 to 65535" mount -p 0 a b
expect "$USAGE" "'' is no number" mount -o partition a b
expect "$USAGE" 'key-file: needs a value' mount -o ro,key-file a b
expect "$USAGE" 'no-partscan: takes no value' mount -o no-partscan=1 a b
expect "$USAGE" "'a,b' is neither zlib nor zstd" mount -o 'qcow-compress="a,b"' a b
expect "$USAGE" 'not of a device that is read-only' mount -o snapshot=1,qcow-compress=zlib a b
expect "$USAGE" 'not of a device that is read-only' mount -o ro,drop-bitmaps a b
expect "$NOT_FOUND" 'No such file' mount -o compress=lzo,device=/dev/sda,rw,defaults absent b
expect "$USAGE" 'the new name are wanted, 1 given' rename a
expect "$USAGE" 'the new name is empty' rename a ''
expect "$USAGE" 'no number of seconds' detach --wait soon qcow0
expect "$USAGE" 'one of --read-only and --read-write' set a
expect "$USAGE" 'one of --read-only and --read-write' set -r -w a
expect "$USAGE" 'one device is wanted, 2 given' set -r a b
expect "$USAGE" 'no column' list -o NAME,COLOUR
expect "$USAGE" 'exclude each other' list -J --raw
expect "$USAGE" 'no arguments are wanted, 1 given' monitor a
expect "$USAGE" 'try: qcowctl monitor --help' monitor --raw
expect "$USAGE" 'human nor json' map --output xml a
expect "$USAGE" 'human nor json' info --output xml a
expect "$USAGE" 'one image is wanted, 0 given' info --dump
expect "$USAGE" 'not of a device that is read-only' attach --drop-bitmaps -r a
expect "$USAGE" 'not of a device that is read-only' attach --drop-bitmaps --snapshot 1 a
expect "$USAGE" 'not of a device that is read-only' attach --overlay --snapshot 1 a
expect "$USAGE" 'neither unmap' attach --discard maybe a
expect "$USAGE" 'unmap, with --discard ignore' attach --discard ignore --detect-zeroes unmap a
expect "$USAGE" 'not of a device that is read-only' attach --overlay=b -r a
expect "$USAGE" 'backing files are not looked at' map --bitmap b --backing a a
expect "$USAGE" 'one image is wanted, 2 given' map --bitmap b a c
expect "$USAGE" 'one of --add, --remove' bitmap a b
expect "$USAGE" 'try: qcowctl bitmap --help' bitmap --add a
expect "$USAGE" 'the name of a bitmap are wanted, 3 words given' bitmap --add a b c
expect "$USAGE" 'the name is empty' bitmap --add a ''
expect "$USAGE" 'the name has 1024 bytes, at most 1023' bitmap --add a "$(printf '%01024d' 0)"
expect "$USAGE" "'none' is no size" bitmap --add -g none a b
expect "$USAGE" "'0' is no size" bitmap --add -g 0 a b
expect "$USAGE" '--granularity: only with --add' bitmap --clear -g 64K a b
expect "$USAGE" '--source-file: only with --merge' bitmap --add -b c a b
expect "$USAGE" '--source-format: only with --source-file' bitmap --merge c -F qcow2 a b
expect "$USAGE" "'raw' is not qcow2" bitmap --merge c -b c -F raw a b
expect "$USAGE" 'no file is read that could need a key' rebase -u -b b -F raw --key-file k a
expect "$USAGE" 'no file is read that could need a key' rebase -b '' --key-description user:k a
expect "$USAGE" "'k' is not TYPE:DESCRIPTION" rebase -b b -F raw --key-description k a
expect "$NOT_FOUND" 'no such device, and no attached image' bitmap --add absent b
expect "$NOT_FOUND" 'No such file' map --bitmap b absent
