#!/bin/bash
# A file cut off anywhere is refused or described, never worse.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw base.raw 1M
create qcow2 -o cluster_size=4K -b base.raw -F raw v3 1M
io v3 qcow2 'write 0 100K'
qemu-img snapshot -c one v3
qemu-img bitmap --add v3 two
create qcow v1 1M
io v1 qcow 'write 0 100K'
for image in v3 v1; do
	bytes=$(stat -c %s $image)
	for length in $(seq 0 13 600) $(seq 4000 1021 "$bytes"); do
		head -c "$length" $image >part
		for command in info map; do
			status=0
			timeout 10 "$QCOWCTL" $command part >out 2>err || status=$?
			case $status in
			0 | "$NOT_QCOW" | "$BAD_IMAGE" | "$UNSUPPORTED" | "$POLICY") ;;
			*) die "$command of $length bytes of $image: status $status" ;;
			esac
			[[ $status -eq 0 || -s err ]]
		done
	done
done
