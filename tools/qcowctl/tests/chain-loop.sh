#!/bin/bash
# A loop in a chain is found, however it is spelled.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create qcow2 -u -b b -F qcow2 a 1M
create qcow2 -u -b ./c -F qcow2 b 1M
ln a hard
create qcow2 -u -b hard -F qcow2 c 1M
for command in map 'attach -r' 'info --backing-chain'; do
	read -r -a words <<<"$command"
	expect "$BAD_IMAGE" 'already in the chain.*a loop' "${words[@]}" a
done

# data files count as well
create qcow2 -o data_file=d over 1M
create qcow2 -u -b d -F raw more 1M
qemu-img rebase -u -b d -F raw over
expect "$BAD_IMAGE" "over: its backing file 'd' is already in the chain, as d: a loop" attach -r over
qemu-img rebase -u -b over -F qcow2 more
create qcow2 -o data_file=d,data_file_raw=off base 1M
qemu-img rebase -u -b base -F qcow2 over
expect "$BAD_IMAGE" "its backing file's data file 'd' is already in the chain, as d" attach -r more
create qcow2 -o data_file=e third 1M
ln -f d e
qemu-img rebase -u -b over -F qcow2 third
expect "$BAD_IMAGE" "data file 'd' is already in the chain, as e" attach -r third

create qcow2 -u -b other -F raw self 1M
ln self other
expect "$BAD_IMAGE" 'a loop' attach -r self
