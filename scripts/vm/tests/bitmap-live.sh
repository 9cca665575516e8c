#!/bin/bash
# Bitmaps of an image are kept true while it is written to: incremental backups from snapshots beside
# the device have all that has changed, QEMU goes on with them, and what a power cut leaves is
# inconsistent or right.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"
. "$QCOW_ROOT/scripts/vm/bitmaps.sh"

# copy_ranges BITMAP FROM TO: only what has changed
copy_ranges() {
	ranges "$dev" "$1" >changed
	python3 -ES -c '
import sys
with open(sys.argv[1], "rb", 0) as source, open(sys.argv[2], "r+b", 0) as to:
    for line in sys.stdin:
        start, length = map(int, line.split())
        source.seek(start)
        to.seek(start)
        while length:
            part = source.read(min(length, 1 << 20))
            to.write(part)
            length -= len(part)' "$2" "$3" <changed
}

# backup N: what has changed since the one before, onto backup
backup() {
	local beside
	qcowctl bitmap --add -g 4K "$dev" "b$1"
	qcowctl snapshot -c "s$1" "$dev"
	qcowctl bitmap --disable "$dev" "b$(($1 - 1))"
	beside=$(attach --snapshot "s$1" image)
	copy_ranges "b$(($1 - 1))" "$beside" backup
	cmp backup "$beside" || fail "backup $1"
	detach "$beside"
}

# cut: a copy of the image while nobody writes, as a power cut leaves it
cut() {
	local err=0
	touch stop
	wait "${writers[@]}" || fail "a writer"
	rm stop
	sync "$dev"
	# what is done for discards a while later, too
	sleep 6
	cp --sparse=always image cut
	qemu-img check -q cut >said 2>&1 || err=$?
	[[ $err -eq 0 || $err -eq 3 ]] || fail "$(<said)"
}

random_seed
kinds=("cluster_size=512" "cluster_size=64K" "cluster_size=4K,refcount_bits=64"
	"cluster_size=2M" "extended_l2=on" "lazy_refcounts=on,compression_type=zstd")
one_in "$([[ $QCOW_KERNEL == debug ]] && echo 6 || echo 3)" kinds
for options in "${kinds[@]}"; do
	echo "$options"
	rm -f ./image ./disk ./stop ./cut ./backup
	size=$(((24 << 20) + 2560))
	fill base 20M
	qemu-img create -q -f qcow2 -o "$options" -b base -F raw image "$size"
	image_io qcow2 image "write -q -P 3 1M 3M" "write -q -z 8M 1M"
	qemu-img bitmap --add -g 64K image by-qemu
	qemu-img bitmap --add image kept
	image_io qcow2 image "write -q -P 4 5M 128K"
	qemu-img bitmap --disable image kept
	kept=$(qemu_ranges image kept)
	qemu-img convert -f qcow2 -O raw image disk
	dev=$(attach image 2>said)
	assert_eq "$(<said)" "" "what attach says"
	assert_eq "$(ranges "$dev" kept)" "$kept" "ranges that QEMU left"
	writers=()
	writer & writers+=("$!")
	qcowctl bitmap --add -g 4K "$dev" b0
	qcowctl snapshot -c s0 "$dev"
	beside=$(attach --snapshot s0 image)
	cp "$beside" backup
	detach "$beside"
	for i in 1 2 3; do
		sleep 1
		backup "$i"
	done
	cut
	assert_eq "$(bitmaps image)" \
		"b0= b1= b2= b3=auto+in-use by-qemu=auto+in-use kept=" "bitmaps in use"
	# those that do not record are right after a power cut
	assert_eq "$(bitmaps cut)" \
		"b0= b1= b2= b3=auto+in-use by-qemu=auto+in-use kept=" "bitmaps of a power cut"
	same_ranges cut b1
	writer & writers=("$!")
	qcowctl bitmap --remove "$dev" b0
	qcowctl bitmap --clear "$dev" b1
	qcowctl bitmap --merge b2 "$dev" b1
	assert_eq "$(ranges "$dev" b1)" "$(ranges "$dev" b2)" "merged"
	assert_refused 9 'bitmap "b0": there is none' qcowctl map --bitmap b0 "$dev"
	touch stop
	wait "${writers[@]}" || fail "a writer"
	live=$(ranges "$dev" b3)
	qemu=$(ranges "$dev" by-qemu)
	detach "$dev"
	assert_eq "$(bitmaps image)" "b1= b2= b3=auto by-qemu=auto kept=" "bitmaps"
	assert_clean image
	assert_image_is disk image qcow2
	assert_eq "$(qemu_ranges image b3)" "$live" "ranges that the device had"
	assert_eq "$(qemu_ranges image by-qemu)" "$qemu" "ranges of a bitmap of QEMU's"
	assert_eq "$(qemu_ranges image kept)" "$kept" "ranges of one that does not record"
	for name in b1 b2 b3 by-qemu kept; do
		same_ranges image "$name"
	done
	# QEMU goes on with them
	image_io qcow2 image "write -q -P 9 0 512"
	[[ $(qemu_ranges image b3 | head -1) == "0 "* ]] || fail "QEMU does not record"
	qemu-img bitmap --remove image b1
	assert_clean image
done

echo "read-only, writable, below an overlay"
rm -f ./image
qemu-img create -q -f qcow2 image 8M
qemu-img bitmap --add image one
dev=$(attach -r image)
assert_eq "$(ranges "$dev" one)" ""
assert_refused 5 "read-only" qcowctl bitmap --add "$dev" two
qcowctl set -w "$dev"
dd if=base of="$dev" bs=64K count=1 seek=3 oflag=direct status=none
assert_eq "$(ranges "$dev" one)" "$((3 << 16)) $((1 << 16))" "written"
qcowctl set -r "$dev"
assert_eq "$(bitmaps image)" "one=auto" "bitmaps when it is read-only"
assert_eq "$(ranges "$dev" one)" "$((3 << 16)) $((1 << 16))" "ranges of the file"
qcowctl set -w "$dev"
blkdiscard -o 4M -l 64K "$dev"
qcowctl overlay "$dev" over
assert_eq "$(bitmaps image)" "one=auto" "bitmaps below an overlay"
assert_eq "$(qemu_ranges image one)" \
	"$((3 << 16)) $((1 << 16))"$'\n'"$((4 << 20)) $((1 << 16))" "with the discard"
dd if=base of="$dev" bs=64K count=1 oflag=direct status=none
# what goes into the backing file is recorded there, and copying up is no change
qcowctl bitmap --add "$dev" up
qcowctl stream "$dev"
assert_eq "$(ranges "$dev" up)" "" "after copying up"
detach "$dev"
qemu-img create -q -f qcow2 -b image -F qcow2 over 8M
dev=$(attach over)
dd if=base of="$dev" bs=64K count=1 seek=9 oflag=direct status=none
qcowctl commit "$dev"
detach "$dev"
assert_eq "$(qemu_ranges image one | tr '\n' ,)" \
	"$((3 << 16)) $((1 << 16)),$((9 << 16)) $((1 << 16)),$((4 << 20)) $((1 << 16))," "committed"
assert_clean image

echo "what cannot be kept"
qemu-img create -q -f qcow2 image 8M
qemu-img bitmap --add -g 64K image wrong
qemu-img bitmap --add -g 64K image other
dir=$(bitmap_dir image)
poke image $((dir + 8)) 00000002
assert_refused 5 'bitmap "wrong": bitmap_table_size 2, must be 1' qcowctl attach image
dev=$(attach --drop-bitmaps image 2>said)
assert_match "$(<said)" "bitmap_table_size 2, must be 1"
dd if=base of="$dev" bs=64K count=1 oflag=direct status=none
detach "$dev"
assert_eq "$(bitmaps image)" "other=auto wrong=auto+in-use" "bitmaps"
