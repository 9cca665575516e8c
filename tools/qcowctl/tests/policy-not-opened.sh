#!/bin/bash
# What cannot hold an image is not even opened: to open a device can do something.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkfifo pipe
create qcow2 -u -b pipe -F raw over 1M
mkdir other
truncate -s 1M other/file
create qcow2 -u -b ../other/file -F raw in 1M
mkdir dir
mv in dir/in

# watch FILE ARGUMENT...: qcowctl refuses it, and nobody has opened the file
watch() {
	python3 - "$QCOWCTL" "$@" <<-'PY'
	import ctypes, os, subprocess, sys
	program, name, *args = sys.argv[1:]
	libc = ctypes.CDLL(None, use_errno=True)
	IN_OPEN, IN_NONBLOCK = 0x20, os.O_NONBLOCK
	fd = libc.inotify_init1(IN_NONBLOCK)
	if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(name), IN_OPEN) < 0:
	    sys.exit("no inotify")
	status = subprocess.run([program, *args], capture_output=True).returncode
	if status not in (1, 7):
	    sys.exit(f"status {status}")
	try:
	    os.read(fd, 4096)
	    sys.exit(f"{name} was opened: {args}")
	except BlockingIOError:
	    pass
	os.close(os.open(name, os.O_RDONLY | os.O_NONBLOCK))
	if not os.read(fd, 4096):
	    sys.exit("inotify does not work")
	PY
}
for command in info map 'attach -r' attach check; do
	read -r -a words <<<"$command"
	watch pipe "${words[@]}" pipe
done
watch pipe create pipe 1M
watch pipe create -F raw -b pipe new
for command in 'info --backing-chain' map 'attach -r'; do
	read -r -a words <<<"$command"
	watch pipe "${words[@]}" over
	watch other/file "${words[@]}" dir/in
done
