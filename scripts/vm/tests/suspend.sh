#!/bin/bash
# While the machine goes to sleep nothing is written to an image, whatever was to happen by itself, so
# that one that hibernates finds the image as it left it; a job that is running does not keep it
# awake, and all goes on afterwards.
# kernels: 6.12 6.1 7.3
# cpus: 2
# timeout: 180
. "$QCOW_ROOT/scripts/vm/lib.sh"

tracing=/sys/kernel/tracing
[[ -e $tracing/trace ]] || mount -t tracefs tracefs "$tracing"
echo freezer >/sys/power/pm_test

# asleep: for five seconds, as far as tasks and queues are concerned; in $from and $to when that was
asleep() {
	local times
	echo "qcow-test: asleep" >/dev/kmsg
	echo freeze >/sys/power/state || fail "it does not sleep: $(dmesg | tail -n 5)"
	mapfile -t times < <(dmesg | tac | sed -n -e '/qcow-test: asleep$/q' \
		-e 's/^\[ *\([0-9]*\)\..*Waiting for 5 second.*/\1/p')
	[[ ${#times[@]} -eq 1 ]] || fail "it has not slept: $(dmesg | tail -n 5)"
	from=$((times[0] + 1)) to=$((times[0] + 4))
}

echo "what was to be written soon"
qemu-img create -q -f qcow2 image 256M
dev=$(attach image)
disk=$(stat -c '%Hd,%Ld' image)
echo >"$tracing/trace"
echo 1 >"$tracing/events/block/block_bio_queue/enable"
fill content 1M 3
dd if=content of="$dev" bs=64K oflag=direct conv=notrunc status=none
asleep
sleep 6
echo 0 >"$tracing/events/block/block_bio_queue/enable"
# TASK-PID [CPU] FLAGS SECONDS: block_bio_queue: MAJOR,MINOR W...
sed -n "s/^.* \([0-9]*\)\.[0-9]*: block_bio_queue: $disk W.*/\1/p" "$tracing/trace" >writes
[[ -s writes ]] || fail "nothing at all was written: $(tail -n 3 "$tracing/trace")"
awk -v from="$from" -v to="$to" '$1 >= from && $1 <= to { exit 1 }' writes ||
	fail "written between $from and $to: $(sort writes | uniq -c)"
awk -v to="$to" '$1 > to { late = 1 } END { exit !late }' writes ||
	fail "nothing was written after $to, so nothing was held back"
cmp -n $((1 << 20)) "$dev" content
detach "$dev"
assert_clean image

echo "a job, and a guest"
fill base 64M 4
qemu-img create -q -f qcow2 -F raw -b base over
dev=$(attach over)
qcowctl stream --rate 4M "$dev" >stream.log 2>&1 &
stream=$!
fio --name=load --filename="$dev" --offset=32M --size=32M --rw=randwrite --bs=4k --iodepth=8 \
	--ioengine=libaio --direct=1 --time_based --runtime=10 --verify=crc32c --do_verify=0 \
	--output=fio.log &
load=$!
sleep 2
asleep
assert_attr "$dev" job stream
wait "$load" || fail "fio: $(<fio.log)"
fio --name=load --filename="$dev" --offset=32M --size=32M --rw=randwrite --bs=4k --iodepth=8 \
	--ioengine=libaio --direct=1 --verify=crc32c --verify_only --output=fio.log ||
	fail "fio: $(<fio.log)"
wait "$stream" || fail "stream: $(<stream.log)"
cmp -n $((32 << 20)) "$dev" base
assert_attr "$dev" depth 1
detach "$dev"
assert_clean over
