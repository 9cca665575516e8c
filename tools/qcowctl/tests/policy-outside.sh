#!/bin/bash
# A backing file outside the directory of the image is refused unless allowed.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir in other
create raw other/base.raw 1M
create qcow2 -u -b ../other/base.raw -F raw in/relative 1M
create qcow2 -u -b "$PWD/other/base.raw" -F raw in/absolute 1M
for image in relative absolute; do
	for command in attach map 'info --backing-chain'; do
		read -r -a words <<<"$command"
		expect "$POLICY" 'not inside the directory of the image' "${words[@]}" in/$image
		grep -q "try: --allow-backing $PWD/other" err
	done
	expect_ready -r --allow-backing other in/$image
	expect_ready -r --allow-backing "$PWD" in/$image
	expect "$POLICY" 'not inside' attach -r --allow-backing in in/$image
done
# the image alone needs nothing of that
"$QCOWCTL" info in/relative >/dev/null
# an absolute name inside is fine
create raw in/base.raw 1M
create qcow2 -u -b "$PWD/in/base.raw" -F raw in/inside 1M
expect_ready -r in/inside
# an image that has been removed is in no directory, and not in / either
exec 3<in/inside
rm in/inside
expect "$POLICY" 'an image without a name has no directory of its own' map /proc/self/fd/3
exec 3<&-
python3 - "$QCOWCTL" "$PWD/in/absolute" <<'PY'
import os, subprocess, sys
fd = os.memfd_create("x", 0)
with open(sys.argv[2], "rb") as image:
    os.write(fd, image.read())
out = subprocess.run([sys.argv[1], "map", f"/proc/self/fd/{fd}"], pass_fds=[fd],
                     capture_output=True, text=True)
if out.returncode != 7 or "without a name" not in out.stderr:
    sys.exit(f"{out.returncode}: {out.stderr}")
PY
