#!/bin/bash
# snapshot -l prints what qemu-img does, and as JSON what its info has.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# Versions of QEMU differ in the width of the columns.
same_list() {
	qemu-img snapshot -l "$1" | tr -s ' ' >want
	"$QCOWCTL" snapshot -l "$1" | tr -s ' ' >got
	cmp want got || die "$1: $(cat got)"
	qemu-img info --output json "$1" >want.json
	"$QCOWCTL" snapshot -l --output json "$1" >got.json
	python3 - <<-'PY'
	import json
	want = json.load(open("want.json")).get("snapshots", [])
	assert want == json.load(open("got.json"))
	PY
}
create qcow2 -o compat=0.10 v2 8M
create qcow2 v3 8M
for image in v2 v3; do
	same_list "$image"
	for name in first 'second one' 3 'a name that is longer than its column'; do
		qemu-img snapshot -c "$name" "$image"
		same_list "$image"
		"$QCOWCTL" snapshot -c "$name" "$image"
		same_list "$image"
	done
done
# a state of a machine, a clock, an instruction count; none
table=$((16#$(dd if=v3 bs=1 skip=64 count=8 status=none | od -An -tx1 | tr -d ' \n')))
for size in 3e7 3e8 f9fff fa000 fa001 12345678 4000000000 fffffffffffffff; do
	poke v3 $((table + 40)) "$(printf '%016x' $((16#$size)))"
	same_list v3
done
poke v3 $((table + 24)) 0000123456789abc
same_list v3
poke v3 $((table + 56)) 0000000000000100
same_list v3
poke v3 $((table + 56)) ffffffffffffffff
same_list v3
# what has none
create qcow v1 1M
ends 0 snapshot -l v1
[[ ! -s out ]]
"$QCOWCTL" snapshot -l --output json v1 | tr -d ' \n' | grep -qx '\[\]'
# while a machine runs
hold v3
"$QCOWCTL" snapshot -l v3 >out
release
grep -q 'second one' out
# a terminal obeys no name
"$QCOWCTL" snapshot -c $'red\e[31m' v2
"$QCOWCTL" snapshot -l v2 | grep -qF 'red?[31m'
