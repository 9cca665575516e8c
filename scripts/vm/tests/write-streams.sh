#!/bin/bash
# What several guests write in order, at the same time and in small pieces, lies in few pieces
# in the image; nothing that was kept for them is lost, and none of it is missing when there
# is no other room.
# kernels: 6.12
# cpus: 2
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

MEGABYTES=16
STREAMS=4

# pieces IMAGE: in how many pieces what has been written lies
pieces() {
	qemu-img map --output=json "$1" | python3 -c '
import json, sys
print(sum(e["data"] for e in json.load(sys.stdin)))'
}

# write_streams DEVICE DEPTH: each at a place of its own
write_streams() {
	fio --name=stream --filename="$1" --rw=write --bs=64k --ioengine=libaio --direct=1 \
		--iodepth="$2" --numjobs="$STREAMS" --size="${MEGABYTES}M" \
		--offset_increment=64M --do_verify=0 --verify=crc32c --output=fio.log ||
		fail "fio: $(cat fio.log)"
}

random_seed
cases=("compat=1.1" "compat=1.1,cluster_size=16K" "compat=0.10")
half cases
for options in "${cases[@]}"; do
	for depth in 1 8; do
		qemu-img create -q -f qcow2 -o "$options" image 256M
		dev=$(attach image)
		write_streams "$dev" "$depth"
		fio --name=stream --filename="$dev" --rw=read --bs=64k --direct=1 \
			--numjobs="$STREAMS" --size="${MEGABYTES}M" --offset_increment=64M \
			--verify=crc32c --output=fio.log || fail "fio: $(cat fio.log)"
		detach "$dev"
		assert_clean image
		nr=$(pieces image)
		echo "$options, depth $depth: $nr pieces"
		[[ $nr -le $((STREAMS * MEGABYTES * 5 / 4)) ]] || fail "$nr pieces"
		kib=$(du -k image | cut -f1)
		[[ $kib -lt $(((STREAMS * MEGABYTES + 1) << 10)) ]] || fail "$kib KiB of disk"
		rm image
	done
done
