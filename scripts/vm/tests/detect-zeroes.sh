#!/bin/bash
# Writes of zeros take no space where they are looked for, and give back what was there where that is
# asked for; what is read is the same as without.
# kernels: 6.12 6.1 debug
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

# mapped IMAGE: what QEMU says of its clusters, without those of its backing file
mapped() {
	qemu-img map --output=json "$1" | python3 -ES -c '
import json
import sys
for e in json.load(sys.stdin):
    what = "zero" if e["zero"] else "data" if e["data"] else "none"
    if e["depth"] == 0 and e.get("present", True):
        print(what + ("+space" if "offset" in e and e["zero"] else ""), e["start"] >> 16,
              e["length"] >> 16, sep=":", end=" ")'
}

# zeros FIRST NUMBER: clusters of 64 KiB are written to
zeros() { dd if=/dev/zero of="$dev" bs=64K seek="$1" count="$2" oflag=direct status=none; }
noise() { dd if=/dev/urandom of="$dev" bs=64K seek="$1" count="$2" oflag=direct status=none; }

allocated() { echo $(($(stat -c %b image) * 512)); }

for mode in off on unmap; do
	echo "$mode"
	rm -f ./image
	qemu-img create -q -f qcow2 image 16M
	dev=$(attach --detect-zeroes "$mode" image)
	assert_attr "$dev" detect_zeroes "$mode"
	noise 0 32
	zeros 8 8
	zeros 64 64
	# less than a cluster, of one that is not there and of one that is
	dd if=/dev/zero of="$dev" bs=4K seek=$((200 * 16 + 3)) count=2 oflag=direct status=none
	dd if=/dev/zero of="$dev" bs=4K seek=$((16 * 16 + 3)) count=2 oflag=direct status=none
	# zeros with something at the end are none
	head -c 65535 /dev/zero >most
	printf x >>most
	dd if=most of="$dev" bs=64K seek=210 oflag=direct status=none
	sync "$dev"
	cp "$dev" disk
	detach "$dev"
	assert_image_is disk image qcow2
	assert_clean image
	got=$(mapped image)
	case $mode in
	off)
		assert_eq "$got" "data:0:32 data:64:64 data:200:1 data:210:1 " "off"
		;;
	on)
		assert_eq "$got" "data:0:8 zero+space:8:8 data:16:16 data:210:1 " "on"
		;;
	unmap)
		assert_eq "$got" "data:0:8 data:16:16 data:210:1 " "unmap"
		[[ $(allocated) -lt $((36 << 16)) ]] || fail "unmap: $(allocated) bytes"
		;;
	esac
done

echo "over a backing file"
fill base 1M
for mode in on unmap; do
	rm -f ./image
	qemu-img create -q -f qcow2 -b base -F raw image
	dev=$(attach --detect-zeroes "$mode" image)
	zeros 2 3
	noise 6 1
	zeros 6 1
	cp "$dev" disk
	detach "$dev"
	assert_image_is disk image qcow2
	want="zero:2:3 zero+space:6:1 "
	[[ $mode == on ]] || want="zero:2:3 zero:6:1 "
	assert_eq "$(mapped image)" "$want" "$mode"
done
assert_refused 1 "neither off, on nor unmap" qcowctl attach --detect-zeroes yes image
assert_refused 1 "not of a device that is read-only" qcowctl attach -r --detect-zeroes on image

random_seed
kinds=("qcow -" "qcow2 compat=0.10,cluster_size=1K" "qcow2 cluster_size=512" "qcow2 extended_l2=on"
	"qcow2 cluster_size=4K,refcount_bits=1" "qcow2 data_file=image.data")
one_in 3 kinds
for kind in "${kinds[@]}"; do
	read -r format options <<<"$kind"
	echo "$kind"
	for mode in on unmap; do
		rm -f ./image* ./disk
		fill base 4M
		args=(-b base -F raw)
		[[ $format == qcow ]] || args+=(-o "$options")
		[[ $options != data_file* ]] || args=(-o "$options")
		qemu-img create -q -f "$format" "${args[@]}" image $((8 << 20))
		qemu-img convert -f "$format" -O raw image disk
		args=()
		[[ $format != qcow ]] || args=(--backing-format raw)
		dev=$(attach --detect-zeroes "$mode" "${args[@]}" image)
		model "$dev" disk -t 4 -z 0 -l 262144
		detach "$dev"
		assert_clean image
		assert_image_is disk image "$format"
	done
done
