#!/bin/bash
# What is new when a device grows reads as zeros in every version, over a longer backing file and
# with a data file; snapshots keep their size. It shrinks when it is closed and nothing is in what
# goes; what cannot be is refused, and nothing has changed.
# kernels: 6.12
# timeout: 400
. "$QCOW_ROOT/scripts/vm/lib.sh"

size_of() { blockdev --getsize64 "$1"; }
virtual_size() { qemu-img info --output json "$1" | sed -n 's/^    "virtual-size": \([0-9]*\).*/\1/p'; }
# assert_zeros DEVICE FROM TO
assert_zeros() {
	cmp -n $(($3 - $2)) -i "$2:0" "$1" /dev/zero || fail "$1 has something from $2 to $3"
}

echo "a longer backing file"
fill base 9M
random_seed
cases=({6144512,700M}' '{qcow,'qcow2 -o compat=0.10','qcow2 -o cluster_size=4K','qcow2 -o extended_l2=on'})
half cases
for case in "${cases[@]}"; do
	to=${case%% *} format=${case#* }
	# version 1 states none
	stated=()
	[[ $format == qcow2* ]] || stated=(--backing-format raw)
	rm -f over
	# shellcheck disable=SC2086 # options
	qemu-img create -q -f $format -b base -F raw over 3146240
	dev=$(attach "${stated[@]}" over)
	dd if=/dev/urandom of="$dev" bs=512 seek=6143 count=2 conv=fsync status=none
	dd if="$dev" of=raw bs=1M status=none
	qcowctl resize -q "$to" "$dev"
	new=$(size_of "$dev")
	assert_eq "$new" "$(numfmt --from=iec "$to")" "size"
	assert_zeros "$dev" 3146240 "$new"
	cmp -n 3146240 raw "$dev"
	dd if=/dev/urandom of="$dev" bs=512 seek=$((new / 512 - 1)) count=1 conv=fsync,notrunc \
		status=none
	truncate -s "$new" raw
	dd if="$dev" of=raw bs=512 skip=$((new / 512 - 1)) seek=$((new / 512 - 1)) count=1 \
		conv=notrunc status=none
	detach "$dev"
	assert_clean over
	assert_eq "$(virtual_size over)" "$new" "virtual size"
	assert_image_is raw over "${format%% *}"
done

echo "an external data file"
for raw in on off; do
	rm -f image data
	qemu-img create -q -f qcow2 -o "data_file=data,data_file_raw=$raw" image 1049088
	# older content behind the end
	truncate -s 1049088 data
	fill behind 4M
	cat behind >>data
	dev=$(attach image)
	dd if=behind of="$dev" bs=512 seek=2047 count=2 conv=fsync status=none
	qcowctl resize -q 16M "$dev"
	assert_zeros "$dev" 1049088 $((16 << 20))
	dd if="$dev" of=raw bs=1M status=none
	detach "$dev"
	assert_clean image
	assert_image_is raw image
	assert_eq "$(stat -c %s data)" $((16 << 20)) "bytes of the data file"
	[[ $raw == off ]] || cmp raw data
done

echo "a raw data file on a disk that cannot zero by itself"
assert_eq "$(<"/sys/block/ram1/queue/write_zeroes_max_bytes")" 0 "write zeroes of /dev/ram1"
fill behind 4M
for to in 3M 4195328; do
	for option in '' '--direct-io off'; do
		rm -f image
		qemu-img create -q -f qcow2 -o data_file=/dev/ram1,data_file_raw=on image 1049088
		dd if=behind of=/dev/ram1 bs=1M conv=fsync status=none
		# shellcheck disable=SC2086 # options
		dev=$(attach --allow-backing /dev/ram1 $option image)
		dd if=behind of="$dev" bs=512 seek=2047 count=2 conv=fsync status=none
		qcowctl resize -q "$to" "$dev"
		new=$(size_of "$dev")
		assert_zeros "$dev" 1049088 "$new"
		dd if="$dev" of=raw bs=1M status=none
		detach "$dev"
		assert_image_is raw image
		cmp -n "$new" raw /dev/ram1 || fail "the data file is not the disk"
	done
done

echo "snapshots"
fill noise 2M
for compat in 1.1 0.10; do
	qemu-img convert -O qcow2 -o "compat=$compat" noise image
	qemu-img snapshot -c one image
	dev=$(attach image)
	qcowctl resize -q 3G "$dev"
	dd if=/dev/zero of="$dev" bs=64K count=40 conv=fsync,notrunc status=none
	detach "$dev"
	assert_clean image
	dev=$(attach -r --snapshot one image)
	assert_eq "$(size_of "$dev")" $((2 << 20)) "size of the snapshot"
	cmp noise "$dev"
	detach "$dev"
	# QEMU does not, in version 2
	cp image copy
	[[ $compat == 0.10 ]] || qemu-img snapshot -a one copy
	[[ $compat == 0.10 ]] || assert_image_is noise copy
	dev=$(attach image)
	wait_for 10 qcowctl snapshot -a one "$dev"
	assert_eq "$(size_of "$dev")" $((2 << 20)) "size of what was applied"
	cmp noise "$dev"
	detach --wait 10 "$dev"
	assert_clean image
	assert_eq "$(virtual_size image)" $((2 << 20)) "virtual size of what was applied"
	assert_image_is noise image
done

echo "shrinking"
qemu-img create -q -f qcow2 image 1G
dev=$(attach image)
dd if=noise of="$dev" bs=1M seek=600 oflag=direct status=none
assert_fails "new size 734003200 is less than the present one, 1073741824" qcowctl resize 700M "$dev"
exec {held}<"$dev"
assert_fails "is open" qcowctl resize --shrink 700M "$dev"
exec {held}<&-
assert_refused 4 "new size is 629145600, and guest offset 629145600 is in use" \
	qcowctl resize --shrink 600M "$dev"
assert_eq "$(size_of "$dev")" $((1 << 30)) "size"
wait_for 10 qcowctl resize --shrink -q -300M "$dev"
assert_eq "$(size_of "$dev")" $((724 << 20)) "size"
blkdiscard -o $((600 << 20)) -l $((2 << 20)) "$dev"
wait_for 10 qcowctl resize --shrink -q 512M "$dev"
assert_eq "$(size_of "$dev")" $((512 << 20)) "size"
qcowctl resize -q 1G "$dev"
assert_zeros "$dev" $((512 << 20)) $((1 << 30))
detach --wait 10 "$dev"
assert_clean image
assert_eq "$(virtual_size image)" $((1 << 30)) "virtual size"

echo "partitions"
qemu-img create -q -f qcow2 image 1G
dev=$(attach image)
sfdisk -q "$dev" <<'TABLE'
label: dos
start=2048, size=2048
start=1310720, size=2048
TABLE
wait_for 10 test -b "${dev}p2"
wait_for 10 qcowctl resize --shrink -q 512M "$dev"
[[ -b ${dev}p1 ]] || fail "${dev}p1 is gone"
[[ ! -e /sys/block/${dev#/dev/}/${dev#/dev/}p2 ]] || fail "${dev}p2 lies beyond the end"
qcowctl resize -q 1G "$dev"
detach --wait 10 "$dev"

echo "refused"
dev=$(attach --logical-block-size 4096 image)
assert_refused 1 "new size is 1073742336, must be a multiple of 4096" qcowctl resize +512 "$dev"
assert_refused 1 "needs [0-9]* L1 table entries, at most 4194304" qcowctl resize 4P "$dev"
assert_fails "cannot have 9223372036854775808 less" qcowctl resize -8E "$dev"
assert_fails "must be a multiple of 4096" qcowctl resize --shrink 0 "$dev"
assert_eq "$(size_of "$dev")" $((1 << 30)) "size"
detach --wait 10 "$dev"
dev=$(attach -r image)
assert_fails "is attached read-only" qcowctl resize 2G "$dev"
detach --wait 10 "$dev"
assert_eq "$(virtual_size image)" $((1 << 30)) "virtual size"
assert_clean image
