#!/bin/bash
# info describes encryption without a key; attach names it, refuses and says what helps.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

secret=(--object "secret,id=s,data=abc")
create qcow2 "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=s aes 1M
same_info qcow2 aes
expect "$UNSUPPORTED" 'aes: is encrypted with AES' attach -r aes
grep -q 'try: attach a decrypted copy made with qemu-img convert' err
create qcow "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=s v1 1M
same_info qcow v1
expect "$UNSUPPORTED" 'v1: is encrypted with AES' attach -r v1
# QEMU measures its own speed for that, which fails now and then.
for _ in $(seq 20); do
	create qcow2 "${secret[@]}" \
		-o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 luks 1M \
		2>/dev/null && break
done
same_info qcow2 luks
expect "$UNSUPPORTED" 'luks: is encrypted with LUKS' attach -r luks
