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

# asleep: for five seconds, as far as tasks and queues are concerned
asleep() {
	echo "qcow-test: asleep" >/dev/kmsg
	echo "qcow-test: asleep" >"$tracing/trace_marker"
	echo freeze >/sys/power/state || fail "it does not sleep: $(dmesg | tail -n 5)"
	dmesg | tac | sed '/qcow-test: asleep$/q' | grep -q 'Waiting for 5 second' ||
		fail "it has not slept: $(dmesg | tail -n 5)"
}

echo "what was to be written soon"
qemu-img create -q -f qcow2 image 256M
dev=$(attach image)
disk=$(stat -c '%Hd,%Ld' image)
echo >"$tracing/trace"
echo 1 >"$tracing/events/block/block_bio_queue/enable"
fill content 64K 3
dd if=content of="$dev" bs=64K oflag=direct conv=notrunc status=none
# nobody asks for a commit: it begins by itself, five or six seconds after the write
sleep 2
asleep
sleep 6
echo 0 >"$tracing/events/block/block_bio_queue/enable"
# TASK-PID [CPU] FLAGS SECONDS: block_bio_queue: MAJOR,MINOR W...; a second after it fell asleep all
# that was under way has ended
sed -n -e 's/^.* \([0-9.]*\): tracing_mark_write: qcow-test: asleep/asleep \1/p' \
	-e "s/^.* \([0-9.]*\): block_bio_queue: $disk W.*/write \1/p" "$tracing/trace" >events
awk '$1 == "asleep" { asleep = $2 }
	$1 == "write" && asleep && $2 > asleep + 1 && $2 < asleep + 5 { early++ }
	$1 == "write" && asleep && $2 > asleep + 5 { late++ }
	END { exit early || !late }' events ||
	fail "written while it slept, or nothing was held back: $(tail -n 60 events)"
cmp -n $((64 << 10)) "$dev" content
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
