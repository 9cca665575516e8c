#!/bin/bash
# Commands of metadata keep the LUKS header and what the key opens; those that copy or move the guest's
# data are refused by name, and leave the image as it is.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

luks_header() {
	local at
	read -r at _ <<<"$(luks_place image)"
	head -c $((at + 2068480)) image | tail -c 2068480 | cksum
}
# keeps ARGUMENT...: a command on image that leaves the key and the data
keeps() {
	"$QCOWCTL" "$@" >out 2>err || die "$*: $(cat err)"
	[[ $(luks_header) == "$header" ]] || die "$*: the LUKS header is another"
	encrypted_io 'read -P 1 0 1M' 'read -P 2 5M 64K'
	qemu-img check -q "${secret[@]}" --image-opts "$opened"
	"$QCOWCTL" check -q image
}
# refuses STATUS PATTERN ARGUMENT...
refuses() {
	cp image before
	expect "$@"
	cmp image before
}

create raw raw 8M
for options in cluster_size=64K compat=0.10,cluster_size=512 data_file=data; do
	rm -f image data
	create_luks -o "$options" image 8M
	encrypted_io 'write -P 1 0 1M' 'write -P 2 5M 64K'
	header=$(luks_header)
	keeps check -r all image
	if [[ $options != data_file=* ]]; then
		keeps snapshot -c one image
		encrypted_io 'write -P 3 5M 64K'
		keeps snapshot -a one image
		python3 "$here/fault.py" leak image
		keeps check -r leaks image
		keeps snapshot -d one image
	fi
	if [[ $options != compat* ]]; then
		keeps bitmap --add image b0
		encrypted_io 'write -P 1 64K 64K'
		keeps bitmap --add --merge b0 image b1
		keeps bitmap --remove image b0
		keeps bitmap --remove image b1
	fi
	refuses "$UNSUPPORTED" 'crypt_method 2: encrypted images are resized when' resize 9M image
	refuses "$UNSUPPORTED" 'is encrypted: its data cannot be moved' compact image
	keeps rebase -u -b raw -F raw image
	refuses "$UNSUPPORTED" 'crypt_method 2: encrypted images are rebased with -u only' \
		rebase -b '' image
	refuses "$USAGE" 'image: is not attached: no key is of use' rebase -b raw -F raw --key-file raw image
	refuses "$UNSUPPORTED" 'crypt_method 2: encrypted images are' stream image
	refuses "$UNSUPPORTED" 'crypt_method 2: encrypted images are not committed' commit image
	keeps rebase -u -b '' image
done
