#!/bin/bash
# Protocols are refused, and JSON descriptions that say more than a name can; "file:" with an
# absolute name is a file, and a description of a file is that file.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw base.raw 1M
create qcow2 base.qcow2 2M
mkdir other
create raw other/base.raw 1M
file='{"driver":"file","filename":"base.raw"}'
for name in nbd://localhost:10809/x http://example.com/a ssh:x 'host_device:/dev/sda' \
	'file:base.raw' 'a:b' json: 'json:[]' 'json:{' 'json:"base.raw"' "json:$file}" \
	'json:{"driver":"nbd","host":"localhost"}' 'json:{"driver":"file"}' \
	'json:{"filename":"base.raw"}' 'json:{"file":"base.raw"}' \
	'json:{"driver":"raw","file":{"filename":"base.raw"}}' \
	'json:{"driver":"raw","filename":"base.raw"}' \
	'json:{"driver":"raw","offset":512,"file":'"$file}" \
	'json:{"driver":"file","filename":"base.raw\u0000x"}' \
	'json:{"driver":"file","filename":["base.raw"]}' \
	'json:{"driver":"file","filename":"base.raw","pr-manager":"x"}' \
	'json:{"file":{"file":{"driver":"file","filename":"base.raw"}}}' \
	'json:{"file.driver":"file","file":{"driver":"file","filename":"base.raw"}}'; do
	create qcow2 a 1M
	# QEMU itself would look at them
	qemu-img rebase -u -F raw -b "$name" a
	expect "$POLICY" "a: backing file '" attach -r a
	expect "$POLICY" 'refused|not followed' attach -r a
done
qemu-img rebase -u -F raw -b "file:$PWD/base.raw" a
expect_ready -r a
truncate -s 1M c:d
qemu-img rebase -u -F raw -b ./c:d a
expect_ready -r a

# reads FORMAT NAME: the base is opened, and is the one that QEMU reads
reads() {
	create qcow2 a 4M
	qemu-img rebase -u -F "$1" -b "$2" a
	qemu-img map --output=json a >want.json
	"$QCOWCTL" map --output json a >got.json
	python3 "$here/compare.py" map want.json got.json || die "map of $2 differs"
	expect_ready -r a
}
io base.raw raw 'write -P 1 64K 64K'
io base.qcow2 qcow2 'write -P 1 1M 64K'
reads file "json:$file"
reads raw "json:{\"driver\":\"raw\",\"file\":$file}"
reads raw 'json:{"file.driver":"file","file.filename":"base.raw"}'
reads qcow2 "json:{\"driver\":\"qcow2\",\"file\":${file/.raw/.qcow2}}"
# a name of a description follows the same rules
qemu-img rebase -u -F raw -b 'json:{"driver":"file","filename":"other/../../x"}' a
expect "$POLICY" 'not inside the directory' attach -r a
ln -s /dev/zero zero
qemu-img rebase -u -F raw -b 'json:{"driver":"file","filename":"zero"}' a
expect "$POLICY" 'leads out of the directory' attach -r a
# its format counts where the header has none
create qcow2 a 1M
qemu-img rebase -u -F qcow2 -b "json:{\"driver\":\"qcow2\",\"file\":${file/.raw/.qcow2}}" a
unstate a
expect_ready -r a
qemu-img rebase -u -F raw -b "json:$file" a
expect_ready -r a
unstate a
expect_ready -r a
qemu-img rebase -u -F raw -b "json:{\"driver\":\"vmdk\",\"file\":$file}" a
unstate a
expect "$UNSUPPORTED" "format 'vmdk'" attach -r a

# drivers as formats
for format in file host_device; do
	create qcow2 a 1M
	qemu-img rebase -u -F "$format" -b base.raw a
	expect_ready -r a
	"$QCOWCTL" info --output json a >out
	grep -q '"backing-filename-format": *"'$format out
done
