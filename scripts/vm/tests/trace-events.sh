#!/bin/bash
# Tracepoints tell where the bytes of a request are and what had to be done for it, and nothing else.
# kernels: 6.12 6.1 debug
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

tracing=/sys/kernel/tracing
mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing"

# traced COMMAND...: what it makes the driver do, in the file events, without what stands in front
traced() {
	: >"$tracing/trace"
	echo 1 >"$tracing/events/qcow/enable"
	"$@"
	echo 0 >"$tracing/events/qcow/enable"
	sed -n 's/^.*: \(qcow_[a-z_]*: .*\)$/\1/p' "$tracing/trace" >events
}

# happened REGEX [COUNT]: so many events are like this, one
happened() {
	local nr
	nr=$(grep -cE -- "^$1\$" events || true)
	[[ $nr -eq ${2:-1} ]] || fail "$nr events, not ${2:-1}, like '$1' in: $(<events)"
}

# nothing_but REGEX: no other event has happened
nothing_but() { ! grep -vE -- "^($1)" events || fail "events other than '$1'"; }

read_at() { dd if="$dev" of=/dev/null bs=4K count=1 skip=$(($1 / 4096)) iflag=direct status=none; }
write_at() {
	dd if=/dev/zero of="$dev" bs=4K count=1 seek=$(($1 / 4096)) oflag=direct conv=notrunc status=none
}
# host_of IMAGE OFFSET: where QEMU says that data is
host_of() {
	qemu-img map -U --output json -f qcow2 "$1" | python3 -c '
import json, sys
at = int(sys.argv[1])
for e in json.load(sys.stdin):
    if e["start"] <= at < e["start"] + e["length"]:
        print(f"0x{e['"'offset'"'] + at - e['"'start'"']:x}")' "$2"
}
id_of() { stat -c '%Hd:%Ld:%i' "$1"; }

qemu-img create -q -f qcow2 base 4M
image_io qcow2 base "write -P 1 0 256K" "write -c -P 2 1M 64K"
qemu-img create -q -f qcow2 -b base -F qcow2 image 4M
host=$(host_of base 0)
dev=$(attach --no-partscan image)
nr=$(tr : , <"/sys/block/${dev#/dev/}/dev")

# the image has no L2 table yet; that of the base is read once
traced read_at 0
happened "qcow_miss: file $(id_of base) at 0x[0-9a-f]+ \+ 4096"
happened "qcow_map: $nr read 0 \+ 4096 layer 1 data at $host"
nothing_but 'qcow_miss|qcow_map'
traced read_at 8192
happened "qcow_map: $nr read 16 \+ 4096 layer 1 data at $(printf '0x%x' $((host + 8192)))"
nothing_but qcow_map
traced read_at $((3 << 20))
happened "qcow_map: $nr read 6144 \+ 4096 layer -1 zero at 0x0"
nothing_but qcow_map

traced read_at $((1 << 20))
packed=$(sed -n 's/^qcow_map: .* layer 1 compressed at \(0x[0-9a-f]*\)$/\1/p' events)
[[ -n $packed ]] || fail "no compressed cluster: $(<events)"
happened "qcow_decompress_begin: file $(id_of base) at $packed \+ [0-9]+"
happened "qcow_decompress_end: file $(id_of base) at $packed error 0"
nothing_but 'qcow_map|qcow_decompress'
traced read_at $((1 << 20))
nothing_but qcow_map

# a cluster and a table are new, and what is beside the bytes is copied
write_sync() { write_at "$1" && sync "$dev"; }
traced write_sync 4096
happened "qcow_alloc: $nr 0x[0-9a-f]+ \+ 1 clusters data"
happened "qcow_alloc: $nr 0x[0-9a-f]+ \+ 1 clusters metadata"
happened "qcow_copy: $nr 0 \+ 4096 layer 1 data"
happened "qcow_copy: $nr 16 \+ 57344 layer 1 data"
new=$(sed -n "s/^qcow_map: $nr write 8 + 4096 layer 0 data at \\(0x[0-9a-f]*\\)\$/\\1/p" events)
[[ -n $new ]] || fail "no write was mapped: $(<events)"
happened "qcow_commit_begin: $nr seq [0-9]+ l1 1 l2 1 counts [1-9]"
happened "qcow_commit_end: $nr seq [0-9]+ error 0" "$(grep -c qcow_commit_begin events)"
nothing_but 'qcow_miss|qcow_map|qcow_alloc|qcow_copy|qcow_commit'
assert_eq "$new" "$(host_of image 4096)" "where the write went"
traced write_at 4096
happened "qcow_map: $nr write 8 \+ 4096 layer 0 data at $new"
nothing_but qcow_map
assert_eq "$(attr "$dev" allocated) $(attr "$dev" copied_bytes) $(attr "$dev" decompressed)" \
	"1 61440 1" "clusters allocated, bytes copied, clusters decompressed"
commits=$(attr "$dev" commits)
[[ $commits -gt 0 ]] || fail "no commit was counted"
# a flush is one, also when no table has been changed
assert sync "$dev"
assert_attr "$dev" commits $((commits + 1))
detach "$dev"

# an entry with a reserved bit fails its own request alone
table=$(($(peek image "$(peek image 40 8)" 8) & 0xffffffffffff))
poke image "$table" 8000000000050002
dev=$(attach -r --no-partscan image)
traced assert_fails error read_at 0
happened "qcow_error: $nr read 0 \+ 4096 error -117" "$(grep -c qcow_error: events)"
nothing_but 'qcow_miss|qcow_error'
detach "$dev"
# the module goes while its events are on
echo 1 >"$tracing/events/qcow/enable"
rmmod qcow
[[ ! -e $tracing/events/qcow ]] || fail "the events of a module that is gone"
modprobe qcow
