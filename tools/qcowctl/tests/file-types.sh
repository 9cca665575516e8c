#!/bin/bash
# Only regular files and block devices are opened, and nothing hangs.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkfifo pipe
mkdir dir
for command in info map 'attach -r'; do
	read -r -a words <<<"$command"
	expect "$POLICY" 'is a pipe' "${words[@]}" pipe
	expect "$POLICY" 'is a directory' "${words[@]}" dir
	expect "$POLICY" 'is a character device' "${words[@]}" /dev/zero
	expect "$NOT_FOUND" 'cannot open' "${words[@]}" nowhere
done
create qcow2 -u -b pipe -F raw over 1M
expect "$POLICY" 'pipe: is a pipe' attach -r over
