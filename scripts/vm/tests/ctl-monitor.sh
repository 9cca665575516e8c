#!/bin/bash
# monitor prints a line for all that happens to devices, as it does, without udev.
# kernels: 6.12 6.1
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

# said FILE REGEX: a line of it is so, soon
said() { wait_for 10 grep -qxE -- "$2" "$1" || fail "no line '$2' in: $(<"$1")"; }

# listens PID: it hears events of the kernel by now
listens() { awk -v pid="$1" '$2 == 15 && $3 == pid { found = 1 } END { exit !found }' /proc/net/netlink; }

[[ ! -e /run/udev/control ]] || fail "udev runs"
qemu-img create -q -f qcow2 image 8M
# in the background bash has it ignore an interruption
env --default-signal=INT qcowctl monitor >lines &
monitor=$!
env --default-signal=INT qcowctl monitor --json >json &
wait_for 10 listens "$monitor"
wait_for 10 listens "$!"
dev=$(attach --no-partscan image)
said lines "$dev attach $((8 << 20)) $PWD/image"
qcowctl resize -q 16M image
said lines "$dev resize $((16 << 20)) $PWD/image"
qcowctl snapshot -q -c one "$dev"
said lines "$dev snapshot $((16 << 20)) $PWD/image"
qcowctl set -r "$dev"
said lines "$dev read-only $((16 << 20)) $PWD/image"
qcowctl set -w "$dev"
said lines "$dev read-write $((16 << 20)) $PWD/image"
qcowctl overlay "$dev" top
said lines "$dev overlay $((16 << 20)) $PWD/top"
qcowctl commit -q --drop "$dev"
said lines "$dev commit $((16 << 20)) $PWD/image"
qcowctl overlay "$dev" second
qcowctl stream -q "$dev"
said lines "$dev stream $((16 << 20)) $PWD/second"
# what fails is no event
assert_fails 'no such snapshot|has no snapshot|snapshot' qcowctl snapshot -q -d nonsense "$dev"
detach "$dev"
said lines "$dev detach"
said json '.*"detach".*'
kill -INT "$!" "$monitor"
wait
cat lines
assert_eq "$(grep -c snapshot lines)" 1 "snapshots"
"$(command -v python3)" - "$dev" "$PWD" <<'PY'
import json
import sys
dev, cwd = sys.argv[1:]
events = [json.loads(line) for line in open("json")]
assert {e["device"] for e in events} == {dev}, events
assert [e["event"] for e in events] == [line.split()[1] for line in open("lines")], events
assert events[0] == {"device": dev, "event": "attach", "size": 8 << 20, "image": cwd + "/image"}, events
assert events[-1] == {"device": dev, "event": "detach"}, events
PY
