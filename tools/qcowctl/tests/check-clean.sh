#!/bin/bash
# Clean images of all kinds: the status and the numbers of qemu-img check.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory

same() {
	python3 "$here/same_check.py" "$QCOWCTL" "$1" || die "check of $1 differs"
}
fill() {
	io "$1" qcow2 'write 0 3M' 'write 7M 1M' 'write 5M 64k' 'write -z 9M 1M'
}

random_seed
kinds=("compat=0.10,cluster_size="{512,4K,64K,2M} cluster_size={512,4K,64K,2M}
	refcount_bits={1,2,4,8,16,32,64} "cluster_size=512,refcount_bits="{1,64}
	"extended_l2=on,cluster_size="{16K,64K,2M} lazy_refcounts=on preallocation=metadata)
half kinds
for options in "${kinds[@]}"; do
	create qcow2 -o "$options" image 20M
	same image
	fill image
	same image
	"$QCOWCTL" check -r all image >/dev/null
	same image
done
create qcow2 image 0
same image
create qcow2 -o data_file=data,data_file_raw=on with-data 20M
fill with-data
same with-data

# compressed clusters share host clusters
head -c 3M /dev/urandom >raw
yes abcdefgh | head -c 3M >>raw || :
for options in cluster_size={512,4K,64K,2M} compression_type=zstd extended_l2=on \
	cluster_size=2M,refcount_bits=64; do
	qemu-img convert -c -O qcow2 -o "$options" raw packed
	same packed
done

# snapshots share clusters and L2 tables
for options in cluster_size={512,64K} compat=0.10 refcount_bits=2 extended_l2=on; do
	create qcow2 -o "$options" image 100M
	for i in 1 2; do
		io image qcow2 "write ${i}M 3M"
		qemu-img snapshot -c "s$i" image
	done
	same image
	io image qcow2 'write 2M 3M'
	same image
	qemu-img snapshot -d s1 image
	same image
done

create qcow2 bitmaps 4G
qemu-img bitmap --add bitmaps one
qemu-img bitmap --add -g 512 bitmaps two
io bitmaps qcow2 'write 0 5M'
same bitmaps

# the LUKS header has clusters of its own; qemu-img wants the key
create_luks luks 20M
"$QCOWCTL" check --output json luks >got.json
qemu-img check --output=json "${secret[@]}" --image-opts \
	driver=qcow2,file.filename=luks,encrypt.key-secret=key >want.json
python3 - <<'PY'
import json

got, want = (json.load(open(name, encoding="utf-8")) for name in ("got.json", "want.json"))
got.pop("filename"), want.pop("filename")
assert got == want, (got, want)
PY

# dirty: QEMU was killed before it wrote the counts
create qcow2 -o lazy_refcounts=on lazy 20M
qemu-io -c 'write 0 1M' -c 'sigraise 9' lazy >/dev/null 2>&1 || :
expect 2 'the dirty bit is set' check lazy
same lazy
"$QCOWCTL" check -r all lazy >out 2>err
same lazy
"$QCOWCTL" info --output json lazy >out
grep -q '"dirty-flag": *false' out || die "still dirty: $(cat out)"
