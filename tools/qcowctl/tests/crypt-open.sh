#!/bin/bash
# A passphrase opens what QEMU has encrypted, with each cipher that it offers, and reads what QEMU has
# written; another one does not. Passphrases come from files, as they are, from a terminal and from an
# agent.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed

# opens STATUS WANTED [HOST-OFFSET SECTOR]: image, with what is in the file key
opens() {
	local status=0
	"$TEST_CRYPT" image key "${3-0}" "${4-0}" >out 2>err </dev/null || status=$?
	[[ $status -eq $1 ]] || die "status $status: $(cat err)"
	grep -q -- "$2" out err || die "no '$2': $(cat out err)"
}
# host: where the first cluster of image is
host() {
	"$QCOWCTL" map --output json image | sed -n 's/.*"start": 0,.*"offset": \([0-9]*\).*/\1/p'
}

# shellcheck disable=SC2034 # one_in takes its name
ciphers=('aes-256 xts plain64' 'aes-128 xts plain64' 'aes-192 xts plain64' 'aes-256 cbc essiv sha256'
	'aes-128 cbc plain' 'serpent-256 xts plain64' 'serpent-128 xts plain'
	'serpent-192 xts plain64' 'serpent-256 cbc essiv sha256' 'twofish-256 xts plain64' 'twofish-128 xts plain64'
	'twofish-256 cbc essiv sha256' 'cast5-128 cbc plain64')
# shellcheck disable=SC2034
hashes=(sha256 sha1 sha512 ripemd160 sha224 sha384 md5)
one_in 3 ciphers
printf secret >key
number=0
for words in "${ciphers[@]}"; do
	read -r alg mode ivgen ivhash <<<"$words"
	hash=${hashes[number++ % ${#hashes[@]}]}
	options=encrypt.cipher-alg=$alg,encrypt.cipher-mode=$mode,encrypt.ivgen-alg=$ivgen
	[[ -z $ivhash ]] || options+=,encrypt.ivgen-hash-alg=$ivhash
	rm -f image
	create_luks -o "$options,encrypt.hash-alg=$hash" image 1M
	encrypted_io "write -P $number 0 64K"
	at=$(host)
	opens 0 "^${alg%-*}-$mode-$ivgen${ivhash:+:$ivhash} $number$" "$at" $((at / 512))
	opens 0 " $number$" $((at + 512 * 77)) $((at / 512 + 77))
done
[[ $number -ge 4 ]]

# every byte of a file counts, and no other slot than the right one opens
printf wrong >key
opens "$WRONG_KEY" 'image: the passphrase opens no key slot'
printf 'secret\n' >key
opens "$WRONG_KEY" 'opens no key slot'
: >key
opens "$WRONG_KEY" 'opens no key slot'
head -c 8193 /dev/zero >key
opens "$USAGE" 'key: has more than 8192 bytes'
rm key
opens "$NOT_FOUND" 'key: cannot open the key file'

# a cipher that is not known
rm image
create_luks image 1M
read -r at _ <<<"$(luks_place image)"
cp image before
printf secret >key
poke image $((at + 8)) 61657a00
opens "$UNSUPPORTED" 'cipher aez-xts-plain64 with a key of 64 bytes is not supported'
cp before image
poke image $((at + 72)) 78
opens "$UNSUPPORTED" 'hash-spec .* is not known'
cp before image
poke image $((at + 108)) 0000003f
opens "$UNSUPPORTED" 'with a key of 63 bytes is not supported'

# AES: the passphrase is the key, and data know their guest offset
for format in qcow2 qcow; do
	rm -f image
	create "$format" "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key image 1M
	opened=${opened/driver=qcow*,file./driver=$format,file.}
	encrypted_io 'write -P 9 0 64K'
	at=$(host)
	opens 0 '^aes-cbc-plain64 9$' $((at + 512 * 3)) 3
done
