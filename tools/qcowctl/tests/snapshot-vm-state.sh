#!/bin/bash
# A snapshot with the state of a machine keeps it: QEMU loads it after what qcowctl has done.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
# machine OPTION...: a machine of nothing has a state, too; commands come on standard input
machine() {
	qemu-system-x86_64 -M none -m 1M -nodefaults -display none -S -monitor stdio \
		-drive if=none,id=disk,file=image "$@" >machine.log 2>&1
}
# loads NAME: the state of this snapshot
loads() {
	cp image copy
	echo quit | machine -loadvm "$1" || die "cannot load $1: $(cat machine.log)"
	mv copy image
}
state_size() {
	qemu-img info --output json image | python3 -c '
import json, sys
print([s["vm-state-size"] for s in json.load(sys.stdin)["snapshots"] if s["name"] == sys.argv[1]][0])' \
		"$1"
}
for options in compat=0.10,cluster_size=4K cluster_size=64K; do
	create qcow2 -o "$options" image 4M
	io image qcow2 'write -P 1 0 1M' 'write -P 2 3M 512K'
	printf 'savevm state\nquit\n' | machine
	size=$(state_size state)
	[[ $size -gt 1000 ]]
	io image qcow2 'write -P 3 512K 1M'
	"$QCOWCTL" snapshot -c plain image
	qemu-img check -q image
	[[ $(state_size plain) -eq 0 ]]
	loads state
	"$QCOWCTL" snapshot -a state image
	qemu-img check -q image
	io image qcow2 'read -P 1 0 1M'
	loads state
	# the active state has the machine's, and a new snapshot shares it
	"$QCOWCTL" snapshot -c again image
	qemu-img check -q image
	loads state
	"$QCOWCTL" snapshot -d again image
	"$QCOWCTL" snapshot -a plain image
	qemu-img check -q image
	[[ $(state_size state) -eq $size ]]
	loads state
	qemu-img snapshot -a state image
	"$QCOWCTL" snapshot -d state image
	qemu-img check -q image
	"$QCOWCTL" snapshot -a plain image
	"$QCOWCTL" snapshot -d plain image
	qemu-img check -q image
	io image qcow2 'read -P 1 0 512K' 'read -P 3 512K 1M' 'read -P 2 3M 512K'
done
