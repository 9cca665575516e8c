#!/bin/bash
# attach --discard: with ignore the device takes no discards, and what is zeroed keeps its space.
# kernels: 6.12 6.1 7.3
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

blocks() { stat -c %b image; }

# filled MODE: a device, all of it written
filled() {
	rm -f ./image
	qemu-img create -q -f qcow2 image 16M
	dev=$(attach --discard "$1" image)
	fill content 16M 5
	dd if=content of="$dev" bs=1M oflag=direct status=none
	sync "$dev"
}

for mode in ignore off; do
	filled "$mode"
	assert_eq "$(<"/sys/block/${dev#/dev/}/queue/discard_max_bytes")" 0 "discards of $mode"
	assert_fails "not supported" blkdiscard "$dev"
	blkdiscard --zeroout -l 8M "$dev"
	cmp -n $((8 << 20)) "$dev" /dev/zero
	cmp -i $((8 << 20)) "$dev" content
	sync "$dev"
	detach "$dev"
	assert_clean image
	[[ $(blocks) -ge $((16 << 11)) ]] || fail "$mode: $(blocks) blocks"
	assert_eq "$(qemu-img check --output=json image | python3 -ES -c '
import json, sys
print(json.load(sys.stdin)["allocated-clusters"])')" 256 "allocated clusters"
done

for mode in unmap on; do
	filled "$mode"
	blkdiscard -l 8M "$dev"
	sync "$dev"
	detach "$dev"
	assert_clean image
	[[ $(blocks) -lt $((12 << 11)) ]] || fail "$mode: $(blocks) blocks"
done
