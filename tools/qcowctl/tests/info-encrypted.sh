#!/bin/bash
# info describes encryption without a key; attach names it, refuses and says what helps.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key aes 1M
same_info qcow2 aes
expect "$UNSUPPORTED" 'aes: is encrypted with AES' attach -r aes
grep -q 'try: attach a decrypted copy made with qemu-img convert' err
create qcow "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key v1 1M
same_info qcow v1
expect "$UNSUPPORTED" 'v1: is encrypted with AES' attach -r v1
create_luks luks 1M
same_info qcow2 luks
expect "$UNSUPPORTED" 'luks: is encrypted with LUKS' attach -r luks
