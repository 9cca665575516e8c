#!/bin/bash
# A file that is no QCOW image has an exit status of its own, and is named where it is known.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

truncate -s 0 empty
printf QFI >short
truncate -s 1M zeros
printf 'QFI\xfa' >near
create vmdk a.vmdk 1M
for file in empty short zeros near a.vmdk; do
	for command in info map attach; do
		expect "$NOT_QCOW" "$file: not a QCOW image" "$command" "$file"
	done
done

create qcow2 image 1M
qemu-img convert -O raw image raw
printf '\x55\xaa' | dd of=raw bs=1 seek=510 conv=notrunc status=none
create vdi vdi 1M
create vhdx vhdx 8M
create vpc vhd 1M
create parallels parallels 1M
create qed qed 1M
printf '<!DOCTYPE html>' >html
gzip -c image >a.gz
xz -c image >a.xz
bzip2 -c image >a.bz2
zstd -qc image >a.zst
tar cf a.tar image
# what there is no program for
printf 'PK\3\4' >zip
printf '\4"M\30' >lz4
for what in a.vmdk:VMDK vdi:VDI vhd:VHD vhdx:VHDX parallels:Parallels qed:QED html:HTML \
	a.gz:gzip a.xz:xz a.bz2:bzip2 a.zst:zstd zip:ZIP lz4:lz4 'a.tar:tar (OVA)' \
	'raw:a raw disk'; do
	file=${what%%:*} name=${what#*:}
	for command in info map attach; do
		expect "$NOT_QCOW" 'not a QCOW image' "$command" "$file"
		grep -qxF "qcowctl: $file: not a QCOW image, it looks like $name" err ||
			die "$file: $(cat err)"
	done
	expect 63 'it looks like' check "$file"
done
