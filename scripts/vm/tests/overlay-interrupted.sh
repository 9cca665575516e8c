#!/bin/bash
# A signal at any time of an overlay leaves no file that no device has.
# kernels: 6.12
# timeout: 300
# cpus: 2
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 base 64M
dev=$(attach base)
began=$(date +%s%N)
qcowctl overlay "$dev" top0
took=$((($(date +%s%N) - began) / 1000))
interrupted=0 done=0

# interrupt MICROSECONDS COMMAND...: after this time, with one of the signals
interrupt() {
	local signals=(TERM HUP) pid
	qcowctl "${@:2}" >out 2>err &
	pid=$!
	sleep "$(printf '%d.%06d' $(($1 / 1000000)) $(($1 % 1000000)))"
	kill -s "${signals[RANDOM % 2]}" "$pid" 2>/dev/null || true
	wait "$pid" && return
	interrupted=$((interrupted + 1))
	return 1
}
# owned: every file but those below is an image of a device, or below one
owned() {
	local file
	qcowctl info -U --backing-chain "$(attr "$dev" image)" >chain
	for file in top*; do
		[[ -e $file ]] || continue
		grep -qE "^ *image: (.*/)?$file\$" chain || fail "$file is nobody's, after: $*"
	done
	[[ -z $(find . -name '.qcowctl-*') ]] || fail "a temporary file is left: $(ls -A)"
}
for ((i = 1; i <= 15; i++)); do
	interrupt $((took * (i - 1) / 12)) overlay "$dev" "top$i" && done=$((done + 1))
	owned "overlay $i"
done
[[ $interrupted -gt 0 && $done -gt 0 ]] || fail "$interrupted interrupted, $done not: of $took us"
echo "$interrupted interrupted, $done not"
detach "$dev"
