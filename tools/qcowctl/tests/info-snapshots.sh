#!/bin/bash
# info lists internal snapshots as qemu-img does.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 -o compat=0.10 v2 8M
create qcow2 v3 8M
for image in v2 v3; do
	for name in first 'second one' 3; do
		qemu-img snapshot -c "$name" "$image"
	done
	same_info qcow2 "$image"
done
# a table that is read in several steps
for number in $(seq 40); do
	qemu-img snapshot -c "$(printf '%0220d' "$number")" v3
done
same_info qcow2 v3
