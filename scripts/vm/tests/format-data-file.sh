#!/bin/bash
# An external data file is read where the image says, is shown, is locked as
# the image is, and when it is raw and too short, reads as zeros.
# kernels: 6.12
# timeout: 90
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
for raw in off on; do
	qemu-img create -q -f qcow2 -o "data_file=$raw.data,data_file_raw=$raw" "$raw" 4M
	# at 0 of the data file, which means nothing in other images
	random_writes 4194304 65536 noise text pattern zero unmap discard
	image_io qcow2 "$raw" "${WRITES[@]}" "write -s noise3 0 100K"
	raw_of "$raw"
	dev=$(attach -r "$raw")
	assert_attr "$dev" data_file "$PWD/$raw.data"
	assert_same_reads "$dev" "$raw.raw"
	assert_fails 'lock' qemu-io -f raw -c 'write 0 512' "$raw.data"
	detach "$dev"
done
cmp on.data on.raw

# one that says nothing of the end of its raw data file
truncate -s 1M on.data
dev=$(attach -r on)
head -c 1M on.raw >expected
truncate -s 4M expected
assert_same_reads "$dev" expected
detach "$dev"

mv on.data elsewhere
assert_refused 9 "cannot open its data file 'on.data'" qcowctl attach -r on
assert_attached_equals off
