#!/bin/bash
# A file that is no QCOW image has an exit status of its own.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

truncate -s 0 empty
printf QFI >short
truncate -s 1M zeros
printf 'QFI\xfa' >near
create vmdk a.vmdk 1M
for file in empty short zeros near a.vmdk; do
	for command in info map attach; do
		expect "$NOT_QCOW" "$file: not a QCOW image" "$command" "$file"
	done
done
