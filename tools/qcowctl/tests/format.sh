#!/bin/bash
# -f names the format that an image has to have, where qemu-img takes it; one of another format is
# left as it is. -U is taken where nothing is written.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

create raw base 1M
create qcow2 -b base -F raw two 1M
create qcow one 1M
cp two before
# takes_format COMMAND [ARGUMENT...]: of the image two
takes_format() {
	expect "$USAGE" "^qcowctl: two: --format: 'qcow' is asked for, and it is qcow2$" "$@" -f qcow
	expect "$USAGE" "^qcowctl: --format: 'raw' is neither qcow nor qcow2$" "$@" --format raw
	cmp two before || die "$*: the image has changed"
	ends 0 "$@" -f qcow2
	[[ ! -s err ]] || die "$*: it said $(cat err)"
	cp before two
}
for command in info 'info --dump' map check 'snapshot -l'; do
	# shellcheck disable=SC2086 # its words
	takes_format $command two
	# shellcheck disable=SC2086
	[[ $command == check ]] || takes_format $command -U two
done
takes_format commit -q two
takes_format rebase -q -u -b base -F raw two
takes_format resize -q 2M two
takes_format snapshot -c s two
takes_format bitmap --add two b
ends 0 info -f qcow one
expect "$USAGE" "one: --format: 'qcow2' is asked for, and it is qcow$" info -f qcow2 one
expect "$USAGE" '--force-share: only with -l' snapshot -U -c s two

# what is no image is told as without
expect "$NOT_QCOW" 'base: not a QCOW image' info -f qcow2 base
expect 63 'base: not a QCOW image' check -f qcow2 base
expect "$NOT_FOUND" 'absent: cannot open: No such file' info -f qcow2 absent
[[ $(wc -l <err) -eq 1 ]] || die "told twice: $(cat err)"
