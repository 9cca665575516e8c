#!/bin/bash
# A device with persistent bitmaps gets another size while it is written to: they are as long as the
# disk then, with all that has been written; what a power cut leaves of one that does not record is
# right, and of one that does it is inconsistent. QEMU reads them, and goes on with them.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/bitmaps.sh"

readonly MIB=$((1 << 20))

virtual_size() { qemu-img info -U --output json "$1" | sed -n 's/^    "virtual-size": \([0-9]*\).*/\1/p'; }

# scribble: writes blocks within the first size at random until there is a file `stop`
scribble() {
	until [[ -e stop ]]; do
		random 6000
		dd if=/dev/urandom of="$dev" bs=4K count=4 seek="$R" oflag=direct conv=notrunc \
			status=none || fail "a write to $dev"
	done
}

# has_changes: whatever is not as in disk is in the ranges of late
has_changes() {
	ranges "$dev" late >recorded
	python - "$dev" <<'PY'
import sys

with open("recorded") as f:
    late = [tuple(map(int, line.split())) for line in f]
blocks = {b for start, length in late for b in range(start // 4096, (start + length) // 4096)}
with open(sys.argv[1], "rb") as now, open("disk", "rb") as before:
    changed = {b for b in range((24 << 20) // 4096) if now.read(4096) != before.read(4096)}
assert changed and changed <= blocks, sorted(changed - blocks)
PY
}

# cut SIZE: a copy of the image in use, as a power cut leaves it
cut() {
	sync "$dev"
	cp --sparse=always image cut
	assert_eq "$(virtual_size cut)" "$1" "size after a cut"
	assert_eq "$(bitmaps cut)" "early= late=auto+in-use" "bitmaps after a cut"
	assert_eq "$(ranges cut early)" "$kept" "ranges after a cut"
	assert_eq "$(qemu_ranges cut early)" "$kept" "ranges after a cut, as QEMU has them"
}

random_seed
kinds=(cluster_size=512 "cluster_size=4K,refcount_bits=64" cluster_size=64K
	extended_l2=on cluster_size=2M)
one_in "$([[ $QCOW_KERNEL == debug ]] && echo 5 || echo 2)" kinds
for options in "${kinds[@]}"; do
	echo "$options"
	rm -f image disk stop cut
	qemu-img create -q -f qcow2 -o "$options" image 24M
	qemu-img bitmap --add -g 512 image early
	image_io qcow2 image "write -q -P 3 1M 3M" "write -q -P 4 20M 100K"
	qemu-img bitmap --disable image early
	kept=$(qemu_ranges image early)
	qemu-img bitmap --add -g 4K image late
	qemu-img convert -f qcow2 -O raw image disk
	dev=$(attach image)
	scribble & writer=$!
	sleep 1
	qcowctl resize -q 25M "$dev"
	cut $((25 * MIB))
	qcowctl resize -q 1G "$dev"
	cut $((1 << 30))
	assert_eq "$(ranges "$dev" early)" "$kept" "ranges"
	one_write_at=$((900 * MIB))
	dd if=/dev/urandom of="$dev" bs=64K count=1 seek=$((one_write_at / 65536)) conv=fsync \
		status=none
	assert_match "$(ranges "$dev" late)" "$one_write_at 65536" "what is new is recorded"
	sleep 1
	touch stop
	wait "$writer" || fail "a writer"
	has_changes
	head -c 24M "$dev" >disk
	blkdiscard -o "$one_write_at" -l 2M "$dev"
	recorded=$(ranges "$dev" late)
	detach "$dev"
	assert_clean image
	assert_eq "$(bitmaps image)" "early= late=auto" "bitmaps"
	same_ranges image early
	same_ranges image late
	assert_eq "$(ranges image late)" "$recorded" "ranges after the detach"

	# smaller again, where nobody has it open; QEMU goes on
	dev=$(attach image)
	qcowctl resize -q --shrink 24M "$dev"
	assert_eq "$(ranges "$dev" early)" "$kept" "ranges"
	[[ $(ranges "$dev" late) != *"$one_write_at"* ]] || fail "bits behind the end"
	cmp -n 24M "$dev" disk
	detach "$dev"
	assert_clean image
	assert_eq "$(bitmaps image)" "early= late=auto" "bitmaps"
	same_ranges image early
	same_ranges image late
	qemu-img resize -q image 100M
	image_io qcow2 image "write -q -P 5 99M 64K"
	same_ranges image late
	dev=$(attach image)
	assert_match "$(ranges "$dev" late)" "$((99 * MIB)) 65536" "what QEMU has recorded"
	detach "$dev"
	# the same without the driver
	qcowctl resize -q 3G image
	assert_clean image
	same_ranges image early
	same_ranges image late
done

# an inconsistent one stays so; a size for which they would take too much memory
qcowctl bitmap --add -g 512 image more
dev=$(attach image)
assert_fails 'all bitmaps would take [0-9]* bytes of memory, at most 268435456' \
	qcowctl resize 900G "$dev"
qcowctl resize -q 4G "$dev"
cp --sparse=always image cut
detach "$dev"
dev=$(attach cut)
qcowctl resize -q 5G "$dev"
detach "$dev"
assert_eq "$(bitmaps cut)" "early= late=auto+in-use more=auto+in-use" "bitmaps"
qemu-img check -q cut || [[ $? -eq 3 ]] || fail "qemu-img check"
same_ranges cut early
