#!/bin/bash
# No space, a limit, a signal: what was there stays, and nothing else does.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

"$QCOWCTL" create image 1M
cp image before
unharmed() {
	cmp image before
	[[ $(ls -A) == "$1" ]] || die "left behind: $(ls -A)"
}
: >out
: >err
files=$(ls -A)
# a file may have 512 KiB
(
	ulimit -f 512
	expect 2 'cannot' create --force -o preallocation=full image 10M
	expect 2 'cannot' create --force -o preallocation=metadata image 10M
	expect 2 'cannot' create --force -o cluster_size=2M image 10M
	expect 2 'cannot' create --force -o preallocation=full,data_file=data image 10M
)
unharmed "$files"
# each call that writes or syncs: also the last one, when the file has its name
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0
cc -O1 -shared -fPIC -D_GNU_SOURCE -o fail.so "$here/fail.c"
files=$(ls -A)
for options in compat=v3 data_file=new.data; do
	for ((n = 0; ; n++)); do
		status=0
		FAIL=$n FAILED=failed LD_PRELOAD=$PWD/fail.so \
			"$QCOWCTL" create -o "$options" new 1M 2>err || status=$?
		[[ -e failed ]] || break
		rm failed
		[[ $status -eq 2 ]] || die "$options, call $n fails: status $status: $(cat err)"
		unharmed "$files"
	done
	[[ $status -eq 0 && $n -ge 4 ]] || die "$options: status $status after $n calls: $(cat err)"
	rm -f new new.data
done
# more than any disk has, in time to be interrupted
refuse 2 'cannot make it' --force -o preallocation=falloc,cluster_size=2M image 60P
unharmed "$files"
for signal in HUP INT TERM; do
	# without the shell's habit of ignoring SIGINT in the background
	python3 - "$QCOWCTL" "$signal" <<-'PY'
	import os, signal, subprocess, sys, time
	sig = getattr(signal, "SIG" + sys.argv[2])
	for s in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
	    signal.signal(s, signal.SIG_DFL)
	args = [sys.argv[1], "create", "--force", "-o", "preallocation=metadata,cluster_size=512",
	        "image", "64G"]
	child = subprocess.Popen(args)
	while not any(n.startswith(".qcowctl-") for n in os.listdir(".")):
	    if child.poll() is not None:
	        sys.exit("it ended too early")
	    time.sleep(0.01)
	child.send_signal(sig)
	sys.exit(child.wait() != -sig)
	PY
	unharmed "$files"
done
