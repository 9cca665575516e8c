#!/bin/bash
# An external data file follows the same rules.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir in other
create qcow2 -o data_file=other/d.raw a 1M
mv a in/a
expect "$NOT_FOUND" "cannot open its data file 'other/d.raw'" attach -r in/a
create qcow2 -o "data_file=$PWD/other/e.raw" in/b 1M
expect "$POLICY" 'data file .* is not inside the directory' attach -r in/b
expect_ready -r --allow-backing other in/b
mkfifo in/pipe
create qcow2 -o data_file=f.raw c 1M
mv c in/c
ln -s pipe in/f.raw
expect "$POLICY" 'f.raw: is a pipe' attach -r in/c
