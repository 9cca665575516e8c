#!/bin/bash
# A backing or data file outside the image's directory is opened only when that
# is allowed, and one of unstated format only when the format is given.
# kernels: 6.12
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"

# refused STATUS REGEX ARGUMENT...
refused() {
	local status=$1 regex=$2
	shift 2
	assert_refused "$status" "$regex" qcowctl attach -r "$@"
}

random_seed
noise_files
mkdir here there
cat noise{0..7} >there/base
qemu-img create -q -f qcow2 -b ../there/base -F raw here/image 1M
raw_of here/image
refused 7 'is not inside the directory of the image' here/image
refused 7 'try: --allow-backing' here/image
refused 7 'is not inside the directory of the image' --allow-backing here here/image
dev=$(attach -r --allow-backing there here/image)
assert_same_reads "$dev" here/image.raw
detach "$dev"

ln -s ../there/base here/link
qemu-img create -q -f qcow2 -b link -F raw here/by-link 1M
refused 7 'a symbolic link leads out of the directory' here/by-link
raw_of here/by-link
dev=$(attach -r --allow-backing there here/by-link)
assert_same_reads "$dev" here/by-link.raw
detach "$dev"

(cd here && qemu-img create -q -f qcow2 -o data_file=../there/data data-image 1M)
refused 7 'data file .* is not inside the directory' here/data-image

cp there/base here/base
qemu-img create -q -f qcow -b base -F raw here/unstated 1M
refused 7 'the format of its backing file .* is not stated' here/unstated
refused 7 'try: --backing-format' here/unstated
raw_of here/unstated
dev=$(attach -r --backing-format raw here/unstated)
assert_same_reads "$dev" here/unstated.raw
detach "$dev"
refused 4 'states .qcow2. for it' --backing-format qcow2 here/unstated
