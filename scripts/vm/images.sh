# shellcheck shell=bash
# Images that more than one test breaks or reads, made once a boot: emulated, qemu-img
# takes longer to start than most of what is tested. Sourced after lib.sh.
#   v1, v3, sub, zstd, packed, mixed: NAME and what QEMU reads from it, NAME.raw
#   random: many small clusters of all kinds; SEED is its seed

make_plain() {
	qemu-img create -q -f "$2" ${3:+-o "$3"} "$1" 4M
	image_io "$2" "$1" "write -q -s data 16K 200K" "write -q -P 5 2M 20K" \
		"write -q -s data 3M 50K"
	[[ -e plain.raw ]] || qemu-img convert -f "$2" -O raw "$1" plain.raw
	cp plain.raw "$1.raw"
}
make_v1() { make_plain v1 qcow; }
make_v3() { make_plain v3 qcow2 cluster_size=4K; }
make_sub() { make_plain sub qcow2 cluster_size=16K,extended_l2=on; }
make_zstd() { make_plain zstd qcow2 cluster_size=4K,compression_type=zstd; }

make_packed() {
	make_plain packed.tmp qcow2 cluster_size=4K
	qemu-img convert -c -O qcow2 -o cluster_size=4K packed.tmp packed
	cp plain.raw packed.raw
}

# data, a second L2 table and a compressed cluster
make_mixed() {
	base64 data >text
	qemu-img create -q -f qcow2 -o cluster_size=4K mixed 4M
	image_io qcow2 mixed "write -q -s data 64K 1M" "write -q -s data 2M 64K" \
		"write -q -c -s text 3M 4K"
	qemu-img convert -O raw mixed mixed.raw
}

make_random() {
	random_seed
	noise_files
	qemu-img create -q -f qcow2 -o cluster_size=512 random 4M
	random_writes 4194304 512 noise text pattern zero compressed
	image_io qcow2 random "${WRITES[@]}"
	raw_of random
	echo "$SEED" >random.seed
}

# shared NAME...: they are here
shared() {
	local name dir=${TMPDIR:?}/images
	mkdir -p "$dir"
	for name in "$@"; do
		if [[ ! -e $dir/$name.raw ]]; then
			(
				cd "$dir" || exit
				[[ -e data ]] || fill data 1M
				"make_$name"
			)
		fi
		cp "$dir/$name" "$dir/$name.raw" .
		[[ $name != random ]] || SEED=$(<"$dir/random.seed")
	done
	[[ -z ${SEED:-} ]] || echo "seed $SEED"
}
