#!/bin/bash
# The manual page is clean, and knows every option, command and exit status.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

page=$here/../../../Documentation/man/qcowctl.8
man -l -Tutf8 --warnings=w "$page" 2>warnings | col -b >text
man -l -Tutf8 --warnings=w "${page%/*}/mount.qcow2.8" 2>>warnings >/dev/null
[[ ! -s warnings ]] || die "$(cat warnings)"
for command in attach detach mount list info map create check snapshot bitmap key overlay fork rename \
	rebase stream commit resize compact set job stat monitor doctor; do
	"$QCOWCTL" "$command" --help >help
	grep -q "qcowctl $command" text
	grep -oE -- '--[a-z-]+' help | sort -u >options
	while read -r option; do
		grep -qF -- "$option" text || die "$command $option is not in the manual"
	done <options
done
"$QCOWCTL" create -o help | awk '/^  /{ print $1 }' >options
while read -r option; do
	grep -qw -- "$option" text || die "-o $option is not in the manual"
done <options

# the examples that can be run here
example=$(sed -n '/Is it a QCOW image that can be used?/,/\$/s/^[[:space:]]*\$ //p' text)
create qcow2 image 1M
cp image disk.img
[[ $(bash -c "PATH=${QCOWCTL%/*}:\$PATH; $example") == yes ]] || die "an image is none: $example"
poke disk.img 4 ff
for what in damaged raw directory absent; do
	case $what in
	raw) head -c 1M /dev/zero >disk.img ;;
	directory) rm disk.img && mkdir disk.img ;;
	absent) rmdir disk.img ;;
	esac
	[[ -z $(bash -c "PATH=${QCOWCTL%/*}:\$PATH; $example") ]] || die "$what is an image: $example"
done
for status in 0 1 2 3 4 5 6 7 8 9 10 63; do
	grep -qE "^ +$status( |$)" text || die "status $status is not in the manual"
done
