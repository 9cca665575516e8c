#!/bin/bash
# Snapshots attached read-only beside the device that goes on writing to their image: they hold what
# they held, whatever is written, snapshot or deleted meanwhile, also when that device is gone.
# kernels: debug
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

random_seed
size=$((4 << 20))
# write: to the device, with another seed each time
write() {
	SEED=$((SEED + 1))
	model "$dev" shadow -t 1 -p 2
}

# same DEVICE NAME: it holds what the snapshot held
same() {
	echo 3 >/proc/sys/vm/drop_caches
	cmp "$1" "$2.raw" || fail "$1 is not $2"
}

# An image on a block device: the device writes to it past the page cache of the one below, which
# the commands read.
qemu-img create -q -f qcow2 image 1M
dd if=image of=/dev/ram1 bs=64K conv=fsync status=none
dev=$(attach /dev/ram1)
for i in 1 2 3; do
	fill "s$i.raw" 1M "$i"
	dd if="s$i.raw" of="$dev" bs=1M oflag=direct status=none
	qcowctl snapshot -c "s$i" "$dev"
	assert_eq "$(qcowctl snapshot -l /dev/ram1 | grep -c " s$i ")" 1 "rows of s$i"
	beside=$(attach --snapshot "s$i" /dev/ram1)
	same "$beside" "s$i"
	detach "$beside"
done
detach "$dev"

# The name of a file may be that of a device, and a device may have an image in it: none of this is
# beside anything.
index=${dev#/dev/qcow}
dd if=/dev/ram1 of="qcow$index" bs=1M count=8 status=none
qemu-img create -q -f qcow2 outer 8M
outer=$(attach --device "qcow$index" outer)
assert_eq "$outer" "$dev"
dd if="qcow$index" of="$outer" bs=1M oflag=direct status=none
for image in "qcow$index" "$outer"; do
	beside=$(attach --snapshot s2 "$image")
	same "$beside" s2
	detach "$beside"
done
detach "$outer"
rm "qcow$index" outer image

truncate -s "$size" base
qemu-img create -q -f qcow2 -b base -F raw -o cluster_size=4K image
truncate -s "$size" shadow
dev=$(attach image)
for name in one two three; do
	write
	cp shadow "$name.raw"
	qcowctl snapshot -c "$name" "$dev"
done
write

one=$(attach -r --snapshot one image)
three=$(attach --snapshot three image)
again=$(attach --snapshot 1 image)
same "$one" one
same "$again" one
same "$three" three
assert_eq "$(qcowctl list -n --raw -o SNAPSHOT-ID,SNAPSHOT "$one" "$three" | paste -sd,)" \
	"1 one,3 three" "what list says"
cmp "$dev" shadow
assert_eq "$(blockdev --getro "$one")" 1

# deleted, made, applied and written beside them
assert_refused 6 'snapshot 1 is attached' qcowctl snapshot -d one "$dev"
assert_refused 6 'snapshot 3 is attached' qcowctl snapshot -d 3 image
detach "$again"
assert_refused 6 'snapshot 1 is attached' qcowctl snapshot -d one "$dev"
qcowctl snapshot -d two "$dev"
write
same "$three" three
# it has another position in the table now
another=$(attach --snapshot three image)
same "$another" three
assert_refused 6 'snapshot 3 is attached' qcowctl snapshot -d three image
detach "$another"
qcowctl snapshot -a one --force image
cp one.raw shadow
write
qcowctl snapshot -c four "$dev"
cp shadow four.raw
write
qcowctl resize +64K image
truncate -s +64K shadow
write
same "$one" one
same "$three" three
four=$(attach --snapshot four image)
same "$four" four
detach "$four"

# attached and detached while snapshots come and go
(
	for _ in {1..5}; do
		qcowctl snapshot -c extra "$dev" && qcowctl snapshot -d extra "$dev"
	done >changes 2>&1
) &
while [[ -n $(jobs -rp) ]]; do
	if other=$(qcowctl attach --snapshot four image 2>said); then
		same "$other" four
		detach "$other"
	else
		grep -Eq 'being changed|has changed since' said || fail "attach: $(<said)"
	fi
done
wait
! grep -v 'just being attached' changes || fail "snapshots beside attaches"
qcowctl snapshot -l "$dev" | grep -q extra && qcowctl snapshot -d extra "$dev"

# the device that writes goes: what is left keeps all others from writing
detach "$dev"
same "$one" one
same "$three" three
assert_fails 'in use' qcowctl attach image
assert_fails 'lock' qemu-img snapshot -d one image
detach "$one" "$three"
dev=$(attach image)
cmp "$dev" shadow
detach "$dev"
qemu-img check -q image
assert_eq "$(qemu-img snapshot -l image | awk 'NR > 2 { print $2 }' | paste -sd,)" one,three,four
for name in one three four; do
	qemu-img convert -l "snapshot.name=$name" -O raw image got.raw
	# QEMU does not know the size that the snapshot has
	cmp -n "$size" got.raw "$name.raw" || fail "QEMU reads other bytes of $name"
done
