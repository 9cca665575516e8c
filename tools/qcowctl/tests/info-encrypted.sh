#!/bin/bash
# info describes encryption without a key, as qemu-img does.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# values: the text for people, one "label value" a line, whatever a label looks like there
values() {
	sed -n 's/^ *\([a-z -]*\): /\1 /p' | tr - ' ' | sort
}

create qcow2 "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key aes 1M
same_info qcow2 aes
create qcow "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key v1 1M
same_info qcow v1
for options in cluster_size=64K compat=0.10,cluster_size=512 \
	cluster_size=2M,encrypt.cipher-alg=aes-128 \
	encrypt.cipher-alg=serpent-192,encrypt.hash-alg=sha512 \
	encrypt.cipher-alg=twofish-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv; do
	create_luks -o "$options" luks 1M
	same_info qcow2 luks
	qemu-img info luks | sed '1,/encrypt:/d' | grep -vE 'slots:|\[|active|iters: |stripes|key offset' |
		values >want
	qemu-img info luks | grep 'master key iters' | values >>want
	"$QCOWCTL" info luks | values >got
	[[ $(wc -l <want) -ge 7 ]]
	sort want | comm -23 - <(sed 's/^encrypt luks$/format luks/' got | sort) >missing
	[[ ! -s missing ]] || die "$options: info has no $(cat missing)"
	qemu-img info luks | sed -n 's/^ *key offset: //p' >want
	"$QCOWCTL" info luks | sed -n 's/^ *key slot [0-7]: key offset \([0-9]*\).*/\1/p' >got
	cmp want got
	[[ $(wc -l <got) -eq 8 ]]
	iters=$(qemu-img info luks | sed -n 's/^  *iters: //p')
	"$QCOWCTL" info luks | grep -q "key slot 0: .*, active, iters $iters, stripes 4000$"
done
