#!/bin/bash
# Snapshots of encrypted images need no key.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
create_luks image 8M
encrypted_io 'write -P 1 0 1M'
"$QCOWCTL" snapshot -c one image
encrypted_io 'write -P 2 512K 1M'
"$QCOWCTL" snapshot -c two image
"$QCOWCTL" snapshot -a one image
encrypted_io 'read -P 1 0 1M'
"$QCOWCTL" snapshot -d one image
"$QCOWCTL" snapshot -a two image
encrypted_io 'read -P 1 0 512K' 'read -P 2 512K 1M'
qemu-img check -q "${secret[@]}" --image-opts "$opened"
