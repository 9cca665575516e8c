#!/bin/bash
# The partitions of MBR and GPT disks appear with the device, at their places
# and sizes, and go with it; --no-partscan keeps them away until they are asked for.
# kernels: 6.12 6.1 7.3
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
truncate -s 40M mbr gpt
sfdisk -q mbr <<'TABLE'
label: dos
start=2048, size=8192
start=10240, size=4096, type=83
start=16384, size=40960, type=5
start=18432, size=1001, type=83
start=24576, size=2048, type=83
TABLE
sfdisk -q gpt <<'TABLE'
label: gpt
start=2048, size=2048, name="first"
start=8192, size=30003, name="second"
start=40960, size=40000, name="third"
TABLE
for disk in mbr gpt; do
	for number in 0 1 2 3; do
		dd if="noise$number" of="$disk" bs=512 seek=$((2048 + number * 16384)) \
			conv=notrunc status=none
	done
done
# the second copy of the table is at the end
sfdisk -q --verify gpt
sfdisk -q --verify mbr

# parts DISK: number, start and size of each, as sfdisk says
parts() { sfdisk -d "$1" | sed -n 's/^[a-z]*\([0-9]*\) : start= *\([0-9]*\), size= *\([0-9]*\).*/\1 \2 \3/p'; }

for disk in mbr gpt; do
	qemu-img convert -f raw -O qcow2 -o cluster_size=4K "$disk" "$disk.qcow2"
	dev=$(attach -r "$disk.qcow2")
	nr=0
	while read -r number start size; do
		part=${dev}p$number
		[[ -b $part ]] || fail "there is no $part"
		sys=/sys/block/${dev#/dev/}/${part#/dev/}
		assert_eq "$(cat "$sys/start") $(cat "$sys/ro")" "$start 1" "start of $part"
		# an extended partition is one block of 2 sectors
		[[ $disk-$number == mbr-3 ]] && size=2
		assert_eq "$(cat "$sys/size")" "$size" "size of $part"
		cmp -n $((size * 512)) "$part" "$disk" 0 $((start * 512))
		nr=$((nr + 1))
	done < <(parts "$disk")
	nodes=("$dev"p*)
	assert_eq "${#nodes[@]}" "$nr" "nodes of partitions of $disk"
	[[ $nr -ge 3 ]] || fail "$nr partitions: no test"
	assert_same_reads -n 20 "$dev" "$disk"
	detach "$dev"
	[[ ! -e ${dev}p1 ]] || fail "${dev}p1 is still there"

	dev=$(attach -r --no-partscan "$disk.qcow2")
	[[ ! -e ${dev}p1 ]] || fail "there is a ${dev}p1"
	assert_fails . blockdev --rereadpt "$dev"
	assert_same_reads -n 20 "$dev" "$disk"
	[[ ! -e ${dev}p1 ]] || fail "there is a ${dev}p1"
	partx -a "$dev"
	read -r number start size < <(parts "$disk")
	assert_eq "$(cat "/sys/block/${dev#/dev/}/${dev#/dev/}p1/start")" "$start" "start of p1"
	cmp -n $((size * 512)) "${dev}p1" "$disk" 0 $((start * 512))
	detach "$dev"
	[[ ! -e ${dev}p1 ]] || fail "${dev}p1 is still there"
done
