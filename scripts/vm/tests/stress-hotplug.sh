#!/bin/bash
# A CPU goes and comes back, again and again, while requests are served there, are handed over
# to it, and clusters are decompressed on it: all of them end, with the right bytes.
# kernels: debug 6.1
# cpus: 2
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

cpu=/sys/devices/system/cpu/cpu1/online

flap() {
	local times
	for ((times = 1; ; times++)); do
		echo $((times % 2)) >"$cpu"
		echo "$times" >flapped
		sleep "0.$(((SEED + times) % 10))"
	done
}

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=4K packed 8M
random_writes 8388608 4096 noise text compressed compressed
image_io qcow2 packed "${WRITES[@]}"
raw_of packed
qemu-img create -q -f qcow2 image 64M
packed=$(attach -r --cache-size 64K packed)
dev=$(attach image)

flap &
flapper=$!
trap 'kill "$flapper"; wait "$flapper" || true; echo 1 >"$cpu"' EXIT
# deep, for requests to be handed over; some allocate at first
fio --name=hotplug --filename="$dev" --direct=1 --ioengine=libaio --iodepth=32 --bs=4k \
	--size=16M --rw=randrw --verify=crc32c --time_based --runtime=4 --output=fio.log ||
	fail "fio: $(cat fio.log)"
end=$((SECONDS + 4))
while [[ $SECONDS -lt $end ]]; do
	SEED=$((SEED + 1))
	assert_same_reads -n 50 "$packed" packed.raw
done
echo "CPU 1 went or came $(<flapped) times"
[[ $(<flapped) -ge 8 ]] || fail "too seldom: this tests nothing"
detach "$dev" "$packed"
assert_clean image
