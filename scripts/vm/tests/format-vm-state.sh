#!/bin/bash
# A snapshot with the state of a virtual machine attaches as its disk alone,
# and so does the active state beside it.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
qemu-img create -q -f qcow2 -o cluster_size=4K image 4M
random_writes 4194304 4096 noise text pattern zero unmap
image_io qcow2 image "${WRITES[@]}"
raw_of image
mv image.raw then.raw
# a machine of nothing has a state, too
printf 'savevm state\nquit\n' |
	qemu-system-x86_64 -M none -m 1M -nodefaults -display none -S -monitor stdio \
		-drive if=none,id=disk,file=image >/dev/null
[[ $(qemu-img snapshot -l image) =~ state\ +[1-9][0-9.]*\ KiB ]] ||
	fail "no state in the snapshot: $(qemu-img snapshot -l image)"
# its table leads behind the end of the disk
[[ $(peek image 36 4) -gt 2 ]] || fail "the L1 table has no room for a state"
image_io qcow2 image "write -s noise5 1M 512K" "write -z 3M 128K"
raw_of image

now=$(attach -r image)
snapshot=$(attach --snapshot state image)
assert_same_reads "$now" image.raw "$snapshot" then.raw
detach image
