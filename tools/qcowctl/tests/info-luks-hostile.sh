#!/bin/bash
# A LUKS header that lies is refused by the name of its field, and nothing more is said of it.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create_luks base 1M
read -r at field <<<"$(luks_place base)"

# lies OFFSET HEXBYTES PATTERN: so many bytes behind the start of the LUKS header
lies() {
	cp base image
	poke image $((at + $1)) "$2"
	expect "$BAD_IMAGE" "image: .*$3" info image
	grep -q 'encrypt: luks' out
	! grep -q 'key slot' out || die "$3: slots are shown"
}
lies 0 00 'LUKS header: magic'
lies 8 00 'cipher-name is no name'
lies 8 "$(printf '%064d' 0 | tr 0 6)" 'cipher-name is no name, byte 32'
lies 40 1b 'cipher-mode is no name'
lies 72 c3 'hash-spec is no name'
lies 104 00000001 'slot 0: key-material-offset 0x1000 reaches beyond'
lies 108 ffffffff 'key-bytes is 4294967295'
lies 164 00000000 'mk-digest-iter is 0'
lies 208 00000001 'slot 0: active 0x1 is neither yes nor no'
lies 212 00000000 'slot 0: iterations 0x0 are none'
lies 252 00000fa1 'slot 0: stripes 0xfa1 are not 4000'
lies 248 00000000 'slot 0: key-material-offset 0x0 lies over the LUKS header'
lies 296 00000009 'slot 1: key-material-offset 0x1200 lies over that of another'

# extension OFFSET BYTES PATTERN: where it is, and how long
extension() {
	cp base image
	poke image "$field" "$(printf '%016x' "$1")"
	poke image $((field + 8)) "$(printf '%016x' "$2")"
	expect "$BAD_IMAGE" "image: .*$3" info image
	[[ $4 == "" ]] || expect 2 "$4" check image
}
extension $((at + 512)) 2068480 'LUKS header offset .* no multiple of the cluster' 'no multiple'
extension 0 2068480 'lies over the header' 'lies over the header'
extension 65536 2068480 'lie over the (L1|refcount) table' 'lie over'
extension "$at" 1023 'LUKS header has 1023 bytes, at least' 'at least 1024'
extension "$at" $((1 << 40)) 'at most 16777216' 'at most 16777216'
extension $((1 << 40)) 2068480 "beyond the file's end" 'beyond the end'

cp base image
poke image $((field - 8)) 0537be78
expect "$BAD_IMAGE" 'crypt_method 2: no header extension "crypto header"' info image
expect 2 'no header extension' check image
cp base image
poke image $((at + 6)) 0002
expect "$UNSUPPORTED" 'LUKS header: version 2, only 1' info image
