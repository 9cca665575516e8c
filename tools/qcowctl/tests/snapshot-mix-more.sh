#!/bin/bash
# As snapshot-mix.sh, with other widths.
# slow
set -euo pipefail

# shellcheck disable=SC2034 # used there
all_options=('cluster_size=2M' 'cluster_size=4K,refcount_bits=4' 'cluster_size=2K,refcount_bits=8'
	'cluster_size=512,refcount_bits=64' 'cluster_size=32K,refcount_bits=32,compression_type=zstd'
	'extended_l2=on,cluster_size=32K,backing_file=base,backing_fmt=raw')
# shellcheck source=tools/qcowctl/tests/snapshot-mix.sh
. "$(dirname "$0")/snapshot-mix.sh"
