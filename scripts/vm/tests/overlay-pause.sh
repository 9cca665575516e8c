#!/bin/bash
# Of random writes at depth 32 the longest takes at most three times as long while overlays are put on
# the device, and forks made of it, as without, however large the image is. A measurement: on a
# machine with nothing else to do.
# kernels: none
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"

modprobe null_blk nr_devices=0
ram_disk nullb0 3072
mkfs.ext4 -q /dev/nullb0
mkdir disk
mount /dev/nullb0 disk
cd disk

# longest DEVICE: microseconds, of 12 seconds
longest() {
	fio --name=load --filename="$1" --rw=randwrite --bs=4k --ioengine=libaio --direct=1 \
		--iodepth=32 --size=512M --norandommap --time_based --runtime=12 \
		--output-format=json --output=../fio.json || fail "fio"
	python -c 'import json
print(int(json.load(open("../fio.json"))["jobs"][0]["write"]["clat_ns"]["max"] / 1000))'
}

# disturb DEVICE NAME
disturb() {
	local i began
	sleep 2
	for i in 1 2 3; do
		began=$(date +%s%N)
		if [[ $2 == overlay ]]; then
			qcowctl overlay "$1" "over$i"
		else
			forks+=("$(qcowctl fork --own "over$i" "$1" "fork$i" 2>/dev/null)")
		fi
		echo "$2 $i: $((($(date +%s%N) - began) / 1000000)) ms"
		sleep 2
	done
}

for size in 1G 256G; do
	for what in overlay fork; do
		qemu-img create -q -f qcow2 base "$size"
		dev=$(attach base)
		# what an image has, and where it has it: all over
		fio --name=fill --filename="$dev" --rw=randwrite --bs=64k --ioengine=libaio \
			--direct=1 --iodepth=8 --size=100% --norandommap --io_size=256M \
			--output=../fill.log
		longest "$dev" >../without
		forks=()
		longest "$dev" >../with &
		disturb "$dev" "$what"
		wait $!
		without=$(<../without) with=$(<../with)
		echo "$size, $what: longest $without us without, $with us with"
		detach "$dev" "${forks[@]}"
		assert_clean base over1 over2 over3
		rm -f base over? fork?
		[[ $with -le $((3 * without)) ]] || echo "more than three times" >>../failed
	done
done
cd ..
umount disk
[[ ! -e failed ]] || fail "$(<failed)"
