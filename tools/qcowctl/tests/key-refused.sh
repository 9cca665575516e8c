#!/bin/bash
# What is refused of key slots leaves the image as it is: wrong passphrases, the last key, full and taken
# slots, images that have none, that are corrupt or in use.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
create_luks image 1M
printf secret >key
printf new >new
printf wrong >wrong
# refuses STATUS PATTERN ARGUMENT...: and says nothing of a passphrase
refuses() {
	cp image before
	expect "$1" "$2" key "${@:3}" image
	cmp image before || die "${*:3}: the image has changed"
	! grep -qE 'secret|wrong$' err out || die "it tells the passphrase: $(cat err)"
}
new=(--new-key-file new --iter-time 10)
refuses "$WRONG_KEY" 'image: the passphrase opens no key slot' add --key-file wrong "${new[@]}"
refuses "$WRONG_KEY" 'opens no key slot' change --key-file wrong "${new[@]}"
refuses "$WRONG_KEY" 'opens no key slot' erase --key-file wrong
refuses "$USAGE" 'no key slot would be left' erase --key-file key
refuses "$USAGE" 'no key slot would be left' erase --slot 0 --key-file key
refuses "$USAGE" 'key slot 0 has a key already' add --slot 0 --key-file key "${new[@]}"
refuses "$NOT_FOUND" 'absent: cannot open the key file' add --key-file absent "${new[@]}"
refuses "$NOT_FOUND" 'absent: cannot open the key file' add --key-file key --new-key-file absent
: >empty
refuses "$USAGE" 'the new passphrase is empty' add --key-file key --new-key-file empty
printf 'a\0b' >nul
refuses "$USAGE" 'no text in UTF-8, QEMU could not' add --key-file key --new-key-file nul
printf '\xff' >binary
refuses "$USAGE" 'no text in UTF-8, QEMU could not' change --key-file key --new-key-file binary

# a slot is named, and the passphrase has to be another one's
"$QCOWCTL" key add --key-file key "${new[@]}" image
refuses "$WRONG_KEY" 'opens no key slot' erase --slot 0 --key-file key
for _ in {3..8}; do
	"$QCOWCTL" key add --key-file key "${new[@]}" image
done
refuses "$NOT_FOUND" 'all of its 8 key slots have a key' add --key-file key "${new[@]}"
grep -q 'try: qcowctl key erase' err
refuses "$NOT_FOUND" 'all of its 8 key slots' change --key-file key "${new[@]}"
"$QCOWCTL" key erase --key-file new image
[[ $("$QCOWCTL" key list image | grep -c ' active ') -eq 1 ]]

# an image that another process has
hold_lock rw image
refuses "$BUSY" 'image: is in use' add --key-file key "${new[@]}"
release
"$QCOWCTL" key list image | grep -q '^0 *active'
# a corrupt one
cp image good
poke image 79 02
refuses "$BAD_IMAGE" 'is marked corrupt, not changed' erase --slot 1 --force
cp good image
python3 "$here/fault.py" low-data image 2>/dev/null || poke image $((65536 * 2)) 0000
refuses "$BAD_IMAGE" 'is corrupt in|not changed' erase --slot 1 --force
cp good image
# bits of a newer program go with the first write
poke image 88 80
"$QCOWCTL" key erase --slot 1 --force image
[[ $(od -An -tx1 -j 88 -N 8 image) == ' 00 00 00 00 00 00 00 00' ]]

# images without key slots
create qcow2 image 1M
refuses "$UNSUPPORTED" 'is not encrypted with LUKS' add --key-file key "${new[@]}"
expect "$UNSUPPORTED" 'is not encrypted with LUKS' key list image
create qcow2 "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key image 1M
refuses "$UNSUPPORTED" 'is not encrypted with LUKS' add --key-file key "${new[@]}"
create qcow image 1M
refuses "$UNSUPPORTED" 'is not encrypted with LUKS' erase --key-file key
head -c 65536 /dev/zero >image
refuses "$NOT_QCOW" 'image' erase --key-file key

# the command line
expect "$USAGE" 'one of list, add, change, erase, export and one image are wanted, 1 words' key image
expect "$USAGE" "'kill' is none of list, add" key kill image
expect "$USAGE" "--slot: '8' is no number from 0 to 7" key add --slot 8 image
expect "$USAGE" "--iter-time: '0' is no number of milli" key add --iter-time 0 image
expect "$USAGE" '--iter-time: only with add, change$' key erase --iter-time 1 image
expect "$USAGE" '--new-key-file: only with add, change$' key erase --new-key-file a image
expect "$USAGE" '--force: only with erase$' key add --force image
expect "$USAGE" '--output: only with list$' key add --output json image
expect "$USAGE" '--slot: only with add, change, erase$' key list --slot 1 image
expect "$USAGE" 'standard input cannot be both' key add --key-file - --new-key-file - image
