#!/bin/bash
# L1 and L2 entries and subcluster bitmaps that are wrong in any way, and compressed
# clusters of garbage, of too little and of endless zeros: what they map is an I/O error
# that one line of the log explains, everything else reads as before.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# make NAME FORMAT [OPTIONS]
make() {
	qemu-img create -q -f "$2" ${3:+-o "$3"} "$1" 4M
	qemu-io -f "$2" -c "write -q -s data 16K 200K" -c "write -q -P 5 2M 20K" \
		-c "write -q -s data 3M 50K" "$1"
	[[ -e data.raw ]] || qemu-img convert -f "$2" -O raw "$1" data.raw
	cp data.raw "$1.raw"
}

fill data 200K
make v1 qcow
make v3 qcow2 cluster_size=4K
make sub qcow2 cluster_size=16K,extended_l2=on
make zstd qcow2 cluster_size=4K,compression_type=zstd
"$QCOW_ROOT/scripts/vm/guest/hostile" tables v1 v3 sub zstd
