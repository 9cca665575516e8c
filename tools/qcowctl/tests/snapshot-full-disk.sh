#!/bin/bash
# Without space for what is new, the image stays as it is; with as much as is needed, it works.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
create qcow2 -o cluster_size=4K base 64M
io base qcow2 'write -P 1 0 3M' 'write -P 2 40M 1M'
qemu-img snapshot -c one base
io base qcow2 'write -P 3 0 2M' 'write -P 3 20M 4K' 'write -P 3 30M 4K'
kib=$(($(stat -c %s base) / 1024))
for verb in '-c two' '-a one' '-d one'; do
	fails=0
	for ((more = 0; ; more += 4)); do
		cp base image
		# shellcheck disable=SC2086 # letter and argument
		(
			ulimit -f $((kib + more))
			"$QCOWCTL" snapshot $verb image >out 2>err
		) && break
		grep -q 'cannot write' err || die "$verb: $(cat err)"
		cmp base image || die "$verb, $more KiB: it is not as before"
		fails=$((fails + 1))
	done
	# shellcheck disable=SC2086 # letter and argument
	[[ $fails -gt 1 || $verb != '-c two' ]] || die "$verb never failed"
	qemu-img check -q image
done
# a block device does not become longer; this one has room for the five clusters of a delete
truncate -s +20K base
if [[ $(id -u) -eq 0 ]] && loop=$(losetup -f --show base 2>/dev/null); then
	trap 'losetup -d "$loop"; rm -rf "${memory-}"' EXIT
	cp base before
	expect 2 'no room for' snapshot -c two "$loop"
	cmp base before
	# what was freed is room enough
	"$QCOWCTL" snapshot -d one "$loop"
	"$QCOWCTL" snapshot -c two "$loop"
	qemu-img check -q "$loop"
fi
