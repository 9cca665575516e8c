#!/bin/bash
# info --backing-chain lists all layers as qemu-img does.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir sub
create raw sub/base.raw 3M
create qcow2 -b base.raw -F raw sub/low.qcow2 4M
create qcow2 -o compat=0.10 -b sub/low.qcow2 -F qcow2 mid.qcow2
create qcow2 -b mid.qcow2 -F qcow2 top.qcow2 8M
same_info qcow2 top.qcow2
same_info qcow2 top.qcow2 --backing-chain
mkdir elsewhere
cd elsewhere
same_info qcow2 ../top.qcow2 --backing-chain
