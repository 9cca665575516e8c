#!/bin/bash
# Images as other programs than QEMU write them: what they are, and where their data is, as QEMU
# sees it; the check finds nothing, but for what lies unused in version 1.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

random_seed
"$here/../../../scripts/vm/guest/foreign" "$SEED" >names
while read -r name format; do
	same_info "$format" "$name"
	same_map "$format" "$name" --backing-format raw
	[[ $format == qcow ]] || ends 0 check "$name"
done <names
[[ $(wc -l <names) -ge 30 ]]
