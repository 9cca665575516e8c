#!/bin/bash
# While the kernel takes back all memory that it can, both caches shrink and all readers
# get the right bytes; what is left of the caches is given back to the last byte.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 60
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/images.sh"

shared random packed

usual=$(</proc/sys/vm/min_free_kbytes)
relax() { echo "$usual" >/proc/sys/vm/min_free_kbytes; }
trap relax EXIT

# much: more KiB than can be free, in every zone: kswapd wakes below 1.25 of it and is
# content at 1.5. Less than is free: below it, who allocates would have to wait.
much() {
	awk '$3 == "zone" { zone = $4 }
	$1 == "pages" && $2 == "free" { free = $3 }
	$1 == "managed" && $2 && zone != "DMA" {
		total += $2
		if (free / $2 > most)
			most = free / $2
	}
	END { printf "%d\n", total * most * 4 * 0.9 }' /proc/zoneinfo
}

# lock_programs PID...: what they are made of, and what is called, stays in memory: it
# would have to come from the host again and again, which takes minutes.
lock_programs() {
	local files
	mapfile -t files < <(awk '$6 ~ "^/" { print $6 }' "${@/%//maps}" | sort -u)
	python3 -ES - "${files[@]}" "$(type -P awk)" "$(type -P cat)" "$(type -P sleep)" \
		"$(type -P cmp)" <<'PYTHON' &
import mmap, os, sys, time
MAP_LOCKED = 0x2000
held = [mmap.mmap(os.open(name, os.O_RDONLY), 0, mmap.MAP_SHARED | MAP_LOCKED, mmap.PROT_READ)
        for name in sys.argv[1:]]
open("locked", "w").close()
time.sleep(1000)
PYTHON
	locker=$!
	wait_for 30 test -e locked
}

# squeeze CONDITION...: the kernel wants memory back for a moment, until it is so. (kswapd
# gives up after 16 runs in vain, until somebody gets something back.)
squeeze() {
	local times=0 kib
	until "$@"; do
		[[ $((times += 1)) -le 10 ]] || fail "under pressure, not so: $*"
		kib=$(much)
		echo 1M >/sys/fs/cgroup/memory.reclaim || true
		echo "$kib" >/proc/sys/vm/min_free_kbytes
		sleep 0.5
		relax
	done
	echo "after squeezing $times times: $*"
}

# held: bytes of tables of the one device, of decompressed clusters of the other
held() { echo "$(attr "$tables" cache_used) $(attr "$packed" inflated_bytes)"; }

both_smaller() {
	local now
	read -r -a now < <(held)
	[[ ${now[0]} -lt $1 && ${now[1]} -lt $2 ]]
}

both_empty() {
	echo 2 >/proc/sys/vm/drop_caches
	[[ $(held) == "0 0" ]]
}

dropped() { [[ $(attr "$tables" cache_evictions) -gt $1 ]]; }
cached() { [[ $(attr "$tables" cache_used) -gt 0 && $(attr "$packed" inflated_bytes) -gt 0 ]]; }
kswapd_runs() { awk '$1 == "pageoutrun" { print $2 }' /proc/vmstat; }

readers() {
	"$QCOW_ROOT/scripts/vm/guest/readers" -s "$((SEED % 100000))" -t 100 -n 2 "$@" &
	pids+=($!)
}

tables=$(attach -r random)
packed=$(attach -r packed)
runs=$(kswapd_runs)
readers "$tables" random.raw
readers "$packed" packed.raw
wait_for 30 cached
lock_programs "/proc/$$" "${pids[@]/#//proc/}"
for round in 1 2; do
	wait_for 30 cached
	squeeze dropped "$(attr "$tables" cache_evictions)"
done
kill "${pids[@]}"
for pid in "${pids[@]}"; do
	wait "$pid" || fail "round $round: a reader had an error or other bytes"
done

cmp "$tables" random.raw
cmp "$packed" packed.raw
cached || fail "nothing is cached"
read -r -a full < <(held)
squeeze both_smaller "${full[@]}"
[[ $(kswapd_runs) -gt $runs ]] || fail "kswapd slept"
wait_for 10 both_empty
kill "$locker"
assert_not_logged "Out of memory|oom-kill"
detach "$tables"
detach "$packed"
