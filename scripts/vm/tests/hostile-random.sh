#!/bin/bash
# Images with random bytes changed, most of them in the header and in tables: whatever
# attaches can be read to the end, with I/O errors at the worst, in bounded time.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
count=200
[[ $QCOW_KERNEL != debug ]] || count=100

fill data 200K
base64 data >text
for options in cluster_size=512 cluster_size=4K,compat=0.10 \
	cluster_size=16K,extended_l2=on; do
	qemu-img create -q -f qcow2 -o "$options" "$options" 2M
	image_io qcow2 "$options" "write -q -s data 5K 200K" "write -q -z 400K 100K" \
		"write -q -P 5 1M 20K"
	images+=("$options")
done
for format in qcow qcow2; do
	qemu-img create -q -f "$format" -o cluster_size=4K "text.$format" 400K 2>/dev/null ||
		qemu-img create -q -f "$format" "text.$format" 400K
	image_io "$format" "text.$format" "write -q -c -s text 4K 4K" \
		"write -q -c -s text 32K 4K" "write -q -c -s text 36K 4K"
	images+=("text.$format")
done
images+=("cluster_size=512:cluster_size=4K,compat=0.10:text.qcow")
# what is read is not compared
for image in "${images[@]%%:*}"; do
	truncate -s 2M "$image.raw"
done
"$QCOW_ROOT/scripts/vm/guest/hostile" random -s "$SEED" -n "$count" "${images[@]}"
