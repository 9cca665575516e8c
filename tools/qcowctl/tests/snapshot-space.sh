#!/bin/bash
# What only a deleted snapshot needed goes back to the file system, and what is free is used again.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
kib() {
	du -k "$1" | cut -f1
}
for options in cluster_size=64K cluster_size=512; do
	create qcow2 -o "$options" image 64M
	io image qcow2 'write -P 1 0 4M'
	"$QCOWCTL" snapshot -c one image
	with=$(kib image)
	io image qcow2 'write -P 2 0 4M' 'write -P 2 32M 4M'
	[[ $(kib image) -ge $((with + 8000)) ]]
	"$QCOWCTL" snapshot -c two image
	both=$(kib image)
	# the hole is inside the file
	"$QCOWCTL" snapshot -d one image
	[[ $(kib image) -le $((both - 4000)) ]] || die "$options: $(kib image), it was $both"
	io image qcow2 'read -P 2 0 4M'
	# new tables are behind what was in use; the next ones are not, and the file is cut, but where
	# some of its many refcount blocks stay behind
	create qcow2 -o "$options" image 64M
	io image qcow2 'write -P 1 0 4M'
	"$QCOWCTL" snapshot -c one image
	io image qcow2 'write -P 2 0 4M'
	both=$(kib image)
	length=$(stat -c %s image)
	"$QCOWCTL" snapshot -a one image
	[[ $(kib image) -le $((both - 4000)) ]] || die "$options: $(kib image), it was $both"
	"$QCOWCTL" snapshot -a one image
	[[ $options == cluster_size=512 || $(stat -c %s image) -le $((length - 4000000)) ]] ||
		die "$options: not cut"
	io image qcow2 'read -P 1 0 4M'
	# again and again, no longer than once
	for n in $(seq 10); do
		"$QCOWCTL" snapshot -c "n$n" image
		"$QCOWCTL" snapshot -d "n$n" image
		[[ $n -gt 2 ]] || length=$(stat -c %s image)
	done
	[[ $(stat -c %s image) -le $length ]] || die "$options: it grows: $(stat -c %s image)"
	qemu-img check -q image
done
