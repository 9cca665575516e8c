#!/bin/bash
# The format of a backing file is stated, known and true.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw base.raw 1M
create qcow2 base.qcow2 1M
create qcow base.qcow 1M
create qcow2 a 1M
qemu-img rebase -u -F raw -b base.raw a
unstate a
expect "$POLICY" 'is not stated, and it is not guessed' attach -r a
grep -q 'try: qcowctl rebase -u -F' err
expect_ready -r --backing-format raw a
for format in qcow2 qcow; do
	qemu-img rebase -u -F $format -b base.raw a
	expect "$BAD_IMAGE" "states '$format'" attach -r a
done
qemu-img rebase -u -F vmdk -b base.raw a
expect "$UNSUPPORTED" "format 'vmdk'" attach -r a
qemu-img rebase -u -F qcow -b base.qcow2 a
expect "$BAD_IMAGE" "is QCOW version 3, but a states 'qcow'" attach -r a
qemu-img rebase -u -F qcow2 -b base.qcow a
expect "$BAD_IMAGE" "is QCOW version 1, but a states 'qcow2'" attach -r a
# a QCOW image read as raw is what the header says; never guessed
qemu-img rebase -u -F raw -b base.qcow2 a
expect_ready -r a
# what is stated beats the option
expect_ready -r --backing-format qcow a
