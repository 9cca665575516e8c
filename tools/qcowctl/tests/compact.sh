#!/bin/bash
# Images of all kinds, fragmented at random: after a compaction the active state, all snapshots and the
# bitmaps are the same, qemu-img check finds nothing, the file ends where it should, QEMU goes on with
# it, and there is nothing left to do.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
random_seed
disk=$((12 << 20))

# compacts IMAGE: as said above
compacts() {
	local before after
	before=$(contents "$1")
	"$QCOWCTL" compact "$1" >out || die "$what"
	grep -qE '^image: [0-9]+ bytes given back: [0-9]+ long, [0-9]+ allocated; before' out
	qemu-img check "$1" >out 2>&1 || die "$what: $(cat out)"
	after=$(contents "$1")
	[[ $before == "$after" ]] || die "$what: $before, now $after"
	is_short "$1" || die "$what: used, long, counts: $(python3 "$here/space.py" "$1")"
	cp "$1" again
	"$QCOWCTL" compact "$1" >out
	grep -q ': 0 bytes given back' out || die "$what: again: $(cat out)"
	cmp "$1" again || die "$what: it changes again"
}
# fragment STEPS: write, and make and delete snapshots
fragment() {
	local step name=0
	for ((step = 0; step < $1; step++)); do
		writes=()
		add_writes 25 400000
		# QEMU compresses only what has no cluster yet
		[[ $step -gt 0 || $options == *data_file* ]] ||
			io image qcow2 "write -c -P 9 6M $cluster" "write -c -P 8 8M $cluster" || :
		io image qcow2 "${writes[@]}"
		[[ $most -gt 0 ]] || continue
		if [[ $name -ge $most && $((RANDOM % 2)) -eq 0 ]]; then
			qemu-img snapshot -d "s$((name - RANDOM % 2))" image
			name=0
		elif [[ $name -lt $most ]]; then
			name=$((name + 1))
			qemu-img snapshot -c "s$name" image
		fi
	done
}

kinds=('cluster_size=512' 'cluster_size=512,refcount_bits=64' 'cluster_size=1K,refcount_bits=1'
	'cluster_size=4K' 'cluster_size=4K,refcount_bits=4' 'cluster_size=64K'
	'cluster_size=64K,refcount_bits=8' 'cluster_size=2M' 'cluster_size=16K,extended_l2=on'
	'cluster_size=128K,extended_l2=on' 'compat=0.10,cluster_size=512' 'compat=0.10,cluster_size=64K'
	'cluster_size=4K,compression_type=zstd' 'cluster_size=8K,backing_file=base,backing_fmt=raw'
	'cluster_size=512,data_file=data' 'cluster_size=64K,data_file=data,data_file_raw=on'
	'cluster_size=32K,lazy_refcounts=on,refcount_bits=2')
one_in 4 kinds
create raw raw 12M
io raw raw 'write -P 33 0 12M'
ln raw base
gained=0
for options in "${kinds[@]}"; do
	cluster=$(sed -E 's/.*cluster_size=([0-9]+[KM]?).*/\1/' <<<"$options")
	bitmaps=$((RANDOM % 2))
	[[ $options != *compat* ]] || bitmaps=0
	what="seed $SEED: $options, bitmaps: $bitmaps"
	most=2
	[[ $options != *data_file* && $options != *refcount_bits=[124] ]] || most=0
	rm -f image data
	create qcow2 -o "$options" image $disk
	if [[ $bitmaps -eq 1 ]]; then
		qemu-img bitmap --add -g 512 image one
		qemu-img bitmap --add -g 64K image two
	fi
	fragment 3
	if [[ $bitmaps -eq 1 ]]; then
		qemu-img bitmap --add -g 4K image three
		qemu-img bitmap --remove image two
	fi
	fragment 2
	long=$(stat -c %s image)
	compacts image
	gained=$((gained + long - $(stat -c %s image)))
	# QEMU goes on, and so does a second compaction
	fragment 1
	qemu-img check -q image || die "$what: after QEMU"
	compacts image
done
echo "$((gained >> 10)) KiB shorter"
[[ $gained -gt $((50000 * ${#kinds[@]})) ]]

# clusters that QEMU has compressed, with holes between and data behind them
kinds=('cluster_size=64K,compression_type=zstd' 'cluster_size=4K' 'compat=0.10,cluster_size=16K')
one_in 3 kinds
for options in "${kinds[@]}"; do
	what="seed $SEED: compressed, $options"
	python3 -c '
import random, sys
r = random.Random(int(sys.argv[1]))
words = [r.randbytes(r.randrange(2, 60)) for _ in range(2000)]
data = b"".join(r.choice(words) for _ in range(400000))
sys.stdout.buffer.write(data[: 8 << 20])' "$SEED" >noise
	truncate -s 12M noise
	qemu-img convert -c -f raw -O qcow2 -o "$options" noise image
	[[ $("$QCOWCTL" map image | grep -c compressed) -gt 0 ]]
	writes=()
	most=2
	cluster=4K
	add_writes 30 200000
	io image qcow2 "${writes[@]}"
	qemu-img snapshot -c one image
	writes=('discard 0 3M')
	add_writes 30 200000
	io image qcow2 "${writes[@]}"
	compacts image
	qemu-img snapshot -d one image
	compacts image
done

# what is leaked, and refcount blocks and a table for clusters that there are no more
what='leaks'
create qcow2 -o cluster_size=512 image 30M
io image qcow2 'write -P 1 0 30M'
qemu-img snapshot -c one image
io image qcow2 'discard 0 29M'
qemu-img snapshot -d one image
python3 "$here/fault.py" leak image
long=$(stat -c %s image)
compacts image
[[ $(stat -c %s image) -lt $((long / 10)) ]] || die "$(stat -c %s image) bytes"
read -r _ _ counts <<<"$(python3 "$here/space.py" image)"
[[ $counts -lt 20 ]] || die "$counts clusters of counts"

# a cluster that is a hole of the file stays one
what='preallocated'
create qcow2 -o preallocation=metadata,cluster_size=64K image 64M
io image qcow2 'discard 0 20M' 'write -P 1 60M 1M'
compacts image
[[ $(($(stat -c %b image) * 512)) -lt 4000000 ]] || die "$(stat -c %b image) blocks"

# a block device: nothing is cut
create qcow2 -o cluster_size=4K image 8M
io image qcow2 'write -P 1 0 4M' 'write -P 2 6M 1M' 'discard 0 3M'
truncate -s 16M image
if [[ $(id -u) -eq 0 ]] && loop=$(losetup -f --show image 2>/dev/null); then
	trap 'losetup -d "$loop"; rm -rf "${memory-}"' EXIT
	"$QCOWCTL" compact -q "$loop" >out
	[[ ! -s out ]]
	qemu-img check "$loop" >out
	[[ $(sed -n 's/^Image end offset: //p' out) -lt 2300000 ]] || die "$(cat out)"
	io "$loop" qcow2 'read -P 0 0 3M' 'read -P 1 3M 1M' 'read -P 2 6M 1M'
fi

# progress as lines of JSON, and nothing else
create qcow2 -o cluster_size=4K image 8M
io image qcow2 'write -P 1 0 4M' 'discard 0 2M' 'write -P 2 6M 1M'
"$QCOWCTL" compact --progress json image >out
python3 -c '
import json, sys
lines = [json.loads(line) for line in open("out")]
assert lines and lines[-1]["job"] == "moving", lines
assert lines[-1]["done"] == lines[-1]["total"] > 0, lines'
qemu-img check -q image
