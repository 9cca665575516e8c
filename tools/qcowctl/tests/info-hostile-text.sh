#!/bin/bash
# Control characters and bytes that are no UTF-8 do no harm in names.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw base.raw 1M
create qcow2 -b base.raw -F raw a 1M
# the name lies where the header says
offset=$(python3 -c 'import struct; print(struct.unpack(">Q", open("a", "rb").read(16)[8:])[0])')
poke a "$offset" 1b5b32ffc0
"$QCOWCTL" info --output json a | python3 -c 'import json, sys; json.load(sys.stdin)'
"$QCOWCTL" info a >out
expect "$NOT_FOUND" 'backing file' attach -r a
if LC_ALL=C grep -q "$(printf '\033')" out err; then
	die "an escape sequence came through"
fi
