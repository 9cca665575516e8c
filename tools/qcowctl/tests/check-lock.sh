#!/bin/bash
# An image that QEMU writes to is not checked, and one that it reads is not repaired.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# ends STATUS ARGUMENT...: with nothing said about messages
ends() {
	local status=$1 got=0
	shift
	"$QCOWCTL" "$@" >out 2>err </dev/null || got=$?
	[[ $got -eq $status ]] || die "qcowctl $*: status $got, not $status: $(cat err)"
}
create qcow2 image 1M
# hold [OPTION...]: QEMU has it open until release
hold() {
	mkfifo in.fifo
	qemu-io "$@" -f qcow2 image <in.fifo >qemu.log 2>&1 &
	holder=$!
	exec {feed}>in.fifo
	echo 'read 0 512' >&"$feed"
	for _ in $(seq 100); do
		grep -q 'read 512/512' qemu.log && return
		sleep 0.1
	done
	die "qemu-io does not start: $(cat qemu.log)"
}
release() {
	exec {feed}>&-
	wait "$holder"
	rm in.fifo
}
hold
expect 1 'is in use: another process may' check image
expect 1 'is in use' check -r all image
release
hold -r
ends 0 check image
expect 1 'is in use' check -r leaks image
release
ends 0 check -r leaks image
