#!/bin/bash
# Protocols and JSON descriptions are refused; "file:" with an absolute name is a file.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

for name in nbd://localhost:10809/x http://example.com/a ssh:x 'host_device:/dev/sda' \
	'file:base.raw' 'json:{"driver":"file","filename":"base.raw"}' 'a:b'; do
	create qcow2 a 1M
	# QEMU itself would look at them
	qemu-img rebase -u -F raw -b "$name" a
	expect "$POLICY" "a: backing file '" attach -r a
	expect "$POLICY" 'refused|not followed' attach -r a
done
create raw base.raw 1M
qemu-img rebase -u -F raw -b "file:$PWD/base.raw" a
expect_ready -r a
truncate -s 1M c:d
qemu-img rebase -u -F raw -b ./c:d a
expect_ready -r a
