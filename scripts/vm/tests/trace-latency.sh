#!/bin/bash
# The time that decompressing and commits take is in histograms of their events, as the
# administrator's guide says.
# kernels: 6.12 6.1
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

tracing=/sys/kernel/tracing
mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing"

# guide COMMAND: the lines of the guide between its marks, as a shell runs them
guide() {
	sed -n "/^   # $1/,/^\$/{ s/^   //p }" "$QCOW_ROOT/Documentation/admin-guide.rst"
}

# hits FILE: of a histogram
hits() { sed -n 's/^ *Hits: //p' "$tracing/events/$1/hist"; }

qemu-img create -q -f qcow2 empty 4M
image_io qcow2 empty "write -P 1 0 4M"
qemu-img convert -c -O qcow2 empty image
dev=$(attach --no-partscan image)
for step in "where reads come from" "how long decompressing takes" "how long commits take"; do
	guide "$step" >commands
	[[ $(wc -l <commands) -ge 2 ]] || fail "the guide has no '$step'"
	bash -e commands
done
dd if="$dev" of=/dev/null bs=64K count=16 iflag=direct status=none
for i in 1 2 3; do
	dd if=/dev/zero of="$dev" bs=64K count=1 seek=$((i * 8)) conv=notrunc,fsync status=none
done
cat "$tracing/events/qcow/qcow_map/hist" "$tracing/events/synthetic/qcow_inflate/hist" \
	"$tracing/events/synthetic/qcow_commit/hist"
assert_match "$(<"$tracing/events/qcow/qcow_map/hist")" 'layer: +0, kind: +3 .* hitcount: +16'
assert_eq "$(hits synthetic/qcow_inflate)" "$(attr "$dev" decompressed)" "clusters decompressed"
assert_eq "$(hits synthetic/qcow_commit)" "$(attr "$dev" commits)" "commits"
guide "the end of it" >commands
bash -e commands
[[ ! -e $tracing/events/synthetic/qcow_commit ]] || fail "something is left"
detach "$dev"
