#!/bin/bash
# Images of many kinds with strange numbers in their header and tables, attached to be read or
# written: whatever can be done to them ends soon, with I/O errors at the worst; one that is
# refused is not changed; what can be read is what QEMU reads. QCOW_HOSTILE in the environment
# is how many. A hundred thousand, without this test's limit in time, and without lock chains, of
# which so many devices need more than lockdep has:
#   QCOW_HOSTILE=100000 scripts/vm/run -k debug -m 3G -t 100000 -a lockdep.prove_locking=0 \
#       exec scripts/vm/guest/run-tests 2000 hostile hostile-random
# kernels: 6.12 debug
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
count=300
[[ $QCOW_KERNEL != debug ]] || count=80
mkdir memory
mount -t tmpfs -o size=1G memory memory
cd memory
fill data 64K
base64 data >text

# make NAME FORMAT OPTIONS: some of all that there is
make() {
	local write=("write -q -s ../data 0 50K" "write -q -z 64K 64K" "write -q -P 5 300K 20K")
	mkdir "$1"
	cd "$1"
	qemu-img create -q -f "$2" ${3:+-o "$3"} image 512K
	if [[ $2 == qcow ]]; then
		image_io "$2" image "${write[@]}" "write -q -c -s ../text 192K 4K"
		return
	fi
	image_io "$2" image "${write[@]}" "write -q -c -s ../text 192K 64K" "discard -q 32K 8K"
	if [[ $3 != *0.10* ]]; then
		qemu-img bitmap --add image two
		qemu-img bitmap --add -g 64K image one
		image_io "$2" image "write -q -P 7 200K 10K"
	fi
	# which needs a count of 2
	[[ $3 != *refcount_bits=1* ]] || return 0
	qemu-img snapshot -c one image
	image_io "$2" image "write -q -P 6 40K 30K"
}

images=(
	"v1 qcow"
	"v2 qcow2 compat=0.10,cluster_size=512"
	"one-bit qcow2 cluster_size=512,refcount_bits=1"
	"wide qcow2 cluster_size=512,refcount_bits=64"
	"v3 qcow2 cluster_size=4K"
	"zstd qcow2 cluster_size=4K,compression_type=zstd"
	"sub qcow2 cluster_size=16K,extended_l2=on"
	"large qcow2 cluster_size=64K"
)
names=()
for image in "${images[@]}"; do
	read -r name format options <<<"$image"
	make "$name" "$format" "$options" &
	names+=("$name/image")
done
while [[ -n $(jobs -rp) ]]; do
	wait -n || fail "an image could not be made"
done
qemu-img create -q -f qcow2 -o cluster_size=512 overlay 600K
image_io qcow2 overlay "write -q -P 7 5K 30K" "write -q -z 400K 20K"
# attach and detach are not worth the console's time
dmesg -n 5
trap 'dmesg -n 7' EXIT
"$QCOW_ROOT/scripts/vm/guest/hostile" random -s "$((SEED % 1000000000))" \
	-n "${QCOW_HOSTILE:-$count}" "${names[@]}" overlay:v3/image:v1/image
cd ..
umount memory
