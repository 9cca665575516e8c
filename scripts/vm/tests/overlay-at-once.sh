#!/bin/bash
# Overlays, a resize, a snapshot and a detach of one device at the same time: each comes first, waits,
# or is refused by name, and no byte changes.
# kernels: debug
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 image 16M
dev=$(attach image)
dd if=/dev/urandom of="$dev" bs=1M count=16 oflag=direct status=none
dd if="$dev" of=raw bs=1M status=none

# Whatever is refused is so because something else has come first.
for i in 1 2 3 4; do
	busy=()
	for w in a b c; do
		{ qcowctl overlay "$dev" "$w$i" 2>"said.$w" || echo "$?" >"failed.$w"; } &
		busy+=("$!")
	done
	{ qcowctl resize -q +1M "$dev" 2>said.r || echo "$?" >failed.r; } &
	busy+=("$!")
	{ qcowctl snapshot -c "s$i" "$dev" 2>said.s || echo "$?" >failed.s; } &
	busy+=("$!")
	wait "${busy[@]}"
	for w in a b c r s; do
		[[ ! -e failed.$w ]] ||
			assert_match "$(<"failed.$w") $(<"said.$w")" \
				"^6 .*is running on it|^4 .*size of the overlay|snapshot|which qcow[0-9]+ has|is not the file that"
	done
	rm -f failed.*
	qcowctl overlay "$dev" "d$i"
	[[ $(attr "$dev" depth) -gt $i ]] || fail "depth in round $i: $(attr "$dev" depth)"
done
[[ $(blockdev --getsize64 "$dev") -ge $((16 << 20)) ]] || fail "it has become smaller"
cmp -n $((16 << 20)) "$dev" raw
exec {held}<"$dev"
qcowctl overlay "$dev" last &
qcowctl detach --lazy "$dev" 2>/dev/null
wait $!
exec {held}<&-
wait_for 10 test ! -e "$dev"
assert_clean image ./[a-d][0-9] last
dev=$(attach -r last)
cmp -n $((16 << 20)) "$dev" raw
assert_same_content "$dev" last
detach "$dev"
