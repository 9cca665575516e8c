#!/bin/bash
# A chain becomes long while it is written to at depth 32: what is written is verified meanwhile, and
# afterwards through QEMU and through another attach.
# kernels: 6.1
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

qemu-img create -q -f qcow2 base 64M
dev=$(attach base)
fio --name=load --filename="$dev" --rw=randwrite --bs=4k --ioengine=libaio --direct=1 \
	--iodepth=32 --size=64M --io_size=40M --verify=crc32c --verify_backlog=512 \
	--output=fio.log &
fio=$!
i=0
while kill -0 "$fio" 2>/dev/null || [[ $i -lt 20 ]]; do
	i=$((i + 1))
	qcowctl overlay "$dev" "deep$i"
	[[ $i -lt 60 ]] || sleep 1
done
wait "$fio" || fail "fio: $(<fio.log)"
assert_attr "$dev" depth $((i + 1))
dd if="$dev" of=want bs=1M status=none
detach "$dev"
assert_clean base deep*
assert_image_is want "deep$i"
dev=$(attach "deep$i")
cmp "$dev" want
detach "$dev"
