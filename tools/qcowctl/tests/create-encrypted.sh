#!/bin/bash
# An encrypted image is what qemu-img makes with the same options; QEMU opens it, reads zeros, writes,
# and finds nothing wrong; a key added by QEMU opens it as well.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
printf secret >key
# what differs from image to image
same_but() {
	sed -E '/"(uuid|iters|master-key-iters|filename|actual-size)"/d' "$1"
}
kinds=(cluster_size=64K 'compat=0.10,cluster_size=512' 'cluster_size=2M,encrypt.cipher-alg=aes-128'
	'refcount_bits=1,cluster_size=4K,encrypt.hash-alg=sha512' 'extended_l2=on,cluster_size=16K'
	'encrypt.cipher-alg=serpent-256,encrypt.hash-alg=sha1' 'data_file=data'
	'encrypt.cipher-alg=twofish-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv')
one_in 2 kinds
for options in "${kinds[@]}"; do
	rm -f image data
	create_luks -o "$options" image 4M
	qemu-img info --output json image >want.json
	rm -f image data
	"$QCOWCTL" create --key-file key -o "encrypt.format=luks,encrypt.iter-time=10,$options" image 4M
	qemu-img info --output json image >got.json
	[[ $(stat -c %a image) == 644 ]]
	cmp <(same_but want.json) <(same_but got.json) || die "$options: $(cat got.json)"
	same_info qcow2 image
	"$QCOWCTL" check -q image
	encrypted_io 'read -P 0 0 4M' 'write -P 1 0 1M' 'write -P 2 3M 64K'
	encrypted_io 'read -P 1 0 1M' 'read -P 0 1M 2M' 'read -P 2 3M 64K'
	qemu-img check -q "${secret[@]}" --image-opts "$opened"
	"$QCOWCTL" check -q image
	printf two >two
	"$QCOWCTL" key add --key-file key --new-key-file two --iter-time 10 image
	"$QCOWCTL" key erase --key-file key image
	! qemu-io "${secret[@]}" --image-opts -c 'read 0 512' "$opened" >out 2>&1 ||
		die "an erased key opens it"
done

# no two have a key in common
luks=(-o 'encrypt.format=luks,encrypt.iter-time=10' --key-file key)
"$QCOWCTL" create "${luks[@]}" one 1M
"$QCOWCTL" create "${luks[@]}" two-images 1M
for image in one two-images; do
	rm -f image
	cp "$image" image
	encrypted_io 'write -P 5 0 64K'
	at=$("$QCOWCTL" map --output json image | sed -n 's/.*"start": 0,.*"offset": \([0-9]*\).*/\1/p')
	tail -c "+$((at + 1))" image | cksum
done >sums
[[ $(sort -u sums | wc -l) -eq 2 ]]

# AES needs no passphrase to begin with
for format in qcow2 qcow; do
	rm -f image
	"$QCOWCTL" create -f "$format" -o encrypt.format=aes image 4M
	opened=driver=$format,file.filename=image,encrypt.key-secret=key
	encrypted_io 'read -P 0 0 4M' 'write -P 1 0 1M' 'read -P 1 0 1M'
	same_info "$format" image
done

# a block device or a full disk: nothing is left behind
rm -f image
(
	ulimit -f 500
	expect 2 'image: cannot' create "${luks[@]}" image 1M
)
[[ ! -e image ]]
