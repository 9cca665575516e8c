#!/bin/bash
# stat shows the rates of what sysfs counts, since the attach and since the table before.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# device NAME ATTACHED-NS STAT MISSES ALLOCATED COPIED DECOMPRESSED COMMITS
device() {
	local dir=root/sys/block/$1 attr
	mkdir -p "$dir/qcow"
	printf '%s\n' 259:0 >"$dir/dev"
	printf '%s\n' "$2" >"$dir/qcow/attached_ns"
	printf '%s\n' "$3" >"$dir/stat"
	shift 3
	for attr in cache_misses allocated copied_bytes decompressed commits; do
		printf '%s\n' "$1" >"$dir/qcow/$attr"
		shift
	done
}
# now: nanoseconds of CLOCK_MONOTONIC
now() { python3 -c 'import time; print(time.monotonic_ns())'; }
stat_of() { "$QCOWCTL" stat --sysroot root "$@"; }

# a hundred seconds ago: of 1000 reads, 2048 sectors each, 3 ms each; half as many writes
device qcow3 $(($(now) - 100000000000)) '1000 5 2048000 3000 500 6 1024000 6000 7 8 9 200 0 0 0 300 4' \
	400 5000 $((100 << 20)) 600 700
stat_of -J | python3 -c '
import json, sys
(d,) = json.load(sys.stdin)["qcowdevices"]
want = {"r/s": 10, "w/s": 5, "d/s": 2, "f/s": 3, "rmb/s": 10, "wmb/s": 5, "await": 6, "inflight": 7,
	"misses/s": 4, "alloc/s": 50, "cmb/s": 1, "decomp/s": 6, "commits/s": 7}
assert d.pop("name") == "/dev/qcow3" and d.keys() == want.keys(), d
for key, value in want.items():
    # tests may take a while here
    assert value * 0.8 <= d[key] <= value, (key, d[key])
'
[[ $(stat_of | head -n 1) =~ ^NAME\ +r/s\ +w/s.*commits/s$ ]]
[[ $(stat_of qcow3 1 1 | wc -l) -eq 2 ]]

# of the second table only what has come since the first; what has begun anew counts from 0
mkfifo table
exec 4<>table
stat_of -J qcow3 2 2 >table &
python3 -c 'import json, sys; json.JSONDecoder().raw_decode("".join(iter(sys.stdin.readline, "}\n")) + "}")' <&4
device qcow3 "$(cat root/sys/block/qcow3/qcow/attached_ns)" \
	'1200 5 2048000 4000 500 6 1024000 6000 0 8 9 200 0 0 0 300 4' 480 50 $((100 << 20)) 600 700
wait $!
printf 'end\n' >&4
sed -u '/^end$/Q' <&4 | python3 -c '
import json, sys
(d,) = json.load(sys.stdin)["qcowdevices"]
want = {"r/s": 100, "w/s": 0, "await": 5, "misses/s": 40, "alloc/s": 25, "cmb/s": 0, "inflight": 0}
for key, value in want.items():
    assert value * 0.8 <= d[key] <= value * 1.01, (key, d[key])
'
exec 4<&-

expect "$NOT_FOUND" 'qcow5: no such device' stat --sysroot root qcow5 1
expect "$USAGE" "'0' is neither" stat 0
expect "$USAGE" "'0' is neither" stat 1 0
mkdir -p none/sys/block
[[ -z $("$QCOWCTL" stat --sysroot none) ]]
[[ $("$QCOWCTL" stat --sysroot none -J | tr -d '[:space:]') == '{"qcowdevices":[]}' ]]
