# shellcheck shell=bash
# The table of rows, for the host's and the guest's side of the bench. Sourced,
# never run; the caller has set -euo pipefail.

# shellcheck disable=SC2034 # set for the functions that for_each_row calls
# for_each_row FILE FUNCTION: with ID, FIO, TARGETS, AT_LEAST, COUNT, TITLE set;
# of the rows named in ROWS where that is set.
for_each_row() {
	local ID FIO TARGETS AT_LEAST COUNT TITLE rest
	while IFS='|' read -r ID FIO TARGETS AT_LEAST COUNT TITLE rest; do
		[[ ! $ID =~ ^[[:space:]]*(#|$) ]] || continue
		[[ -n $TITLE && -z $rest ]] || die "$1: a row of other than 6 fields: $ID"
		read -r ID <<<"$ID"
		[[ -z ${ROWS:-} || " $ROWS " == *" $ID "* ]] || continue
		read -r FIO <<<"$FIO"
		read -r TARGETS <<<"$TARGETS"
		read -r COUNT <<<"$COUNT"
		"$2"
	done <"$1"
}
