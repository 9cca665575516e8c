#!/bin/bash
# Sizes and numbers of the command line mean what the manual says: in every option that takes a size
# what they mean for qemu-img, and what is none is refused with the reason.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

"$TEST_SIZE" 2>/dev/null || die "$("$TEST_SIZE" 2>&1)"

# virtual_size IMAGE
virtual_size() {
	qemu-img info --output json "$1" | grep -oE '"virtual-size": [0-9]+' | tail -n 1
}
for size in 4096 512b 10m 10M 1.5G 1.1G 1.M 0x100000 0X10 2t 1P; do
	create qcow2 want "$size"
	"$QCOWCTL" create --force got "$size"
	[[ $(virtual_size got) == "$(virtual_size want)" ]] || die "$size: $(virtual_size got)"
done
create qcow2 want 1M
"$QCOWCTL" resize -q +0.5m want
[[ $(virtual_size want) == '"virtual-size": 1572864' ]] || die "resize: $(virtual_size want)"
for size in 4k 0x1000 0.5M; do
	"$QCOWCTL" create --force -o "cluster_size=$size,size=1M" got
	create qcow2 -o "cluster_size=$size" want 1M
	[[ $(od -An -tx1 -j 20 -N 4 got) == "$(od -An -tx1 -j 20 -N 4 want)" ]] || die "$size"
done

# what each command says of sizes that are none
for size in 1X -1 1.5 0x1K 16E ''; do
	case $size in
	1X) why="'1X' is no size: 'X' is none of the units b, K, M, G, T, P, E" ;;
	-1) why="'-1' is no size: it is negative" ;;
	1.5) why="'1.5' is no size: it has a part of a byte" ;;
	0x1K) why="'0x1K' is no size: 'K' behind a hexadecimal number" ;;
	16E) why="'16E' is too large" ;;
	'') why="'' is no size, such as 512, 64K or 1.5G" ;;
	esac
	expect "$USAGE" "^qcowctl: size: $why" create -o "size=$size" new
	expect "$USAGE" "^qcowctl: cluster_size: $why" create -o "cluster_size=$size" new 1M
	expect "$USAGE" "^qcowctl: resize: $why" resize "+$size" got
	expect "$USAGE" "^qcowctl: --cache-size: $why" attach --cache-size "$size" got
	expect "$USAGE" "^qcowctl: --logical-block-size: $why" attach --logical-block-size "$size" got
	expect "$USAGE" "^qcowctl: --granularity: $why" bitmap --add --granularity "$size" got b
	for command in check commit compact rebase stream; do
		expect "$USAGE" "^qcowctl: --rate: $why" "$command" --rate "$size" got
	done
done
