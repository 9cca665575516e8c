#!/bin/bash
# As check-faults.sh, with other widths.
# slow
set -euo pipefail

# shellcheck disable=SC2034 # used there
all_options=('extended_l2=on,cluster_size=16K' 'cluster_size=2M'
	'cluster_size=4K,refcount_bits=1' 'refcount_bits=64')
# shellcheck source=tools/qcowctl/tests/check-faults.sh
. "$(dirname "$0")/check-faults.sh"
