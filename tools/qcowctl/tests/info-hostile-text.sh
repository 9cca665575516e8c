#!/bin/bash
# Control characters in any form and bytes that are no UTF-8 do no harm in names, on a
# terminal, in JSON and in the commands that are proposed.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# harmless FILE...: no control character but line feeds, and only UTF-8
harmless() {
	python3 - "$@" <<-'PY'
	import sys, unicodedata
	for name in sys.argv[1:]:
	    text = open(name, "rb").read().decode()
	    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"]
	    assert not bad, (name, bad, text)
	PY
}

# with_name IMAGE NAME: an overlay that names its backing file so
with_name() {
	create qcow2 -u -b "$(printf '%*s' ${#2} '' | tr ' ' x)" -F raw "$1" 1M
	python3 - "$1" "$2" <<-'PY'
	import os, struct, sys
	with open(sys.argv[1], "r+b") as f:
	    offset, length = struct.unpack(">QI", f.read(20)[8:])
	    name = os.fsencode(sys.argv[2])
	    assert len(name) <= length + 40
	    f.seek(16)
	    f.write(struct.pack(">I", len(name)))
	    f.seek(offset)
	    f.write(name)
	PY
}

# escape, C1 as UTF-8 and raw, DEL, what turns text around, an overlong form, a surrogate
evil=$'x\e[2J\xc2\x9b1m\x9b\x7f\xe2\x80\xae\xd8\x9c\xe2\x81\xa6\xe2\x80\xa8\xc0\x80\xed\xa0\x80\xffy'
with_name evil "$evil"
"$QCOWCTL" info evil >out
grep -q 'backing file: x?\[2J' out
ends "$NOT_FOUND" map evil
harmless out err
"$QCOWCTL" info --output json evil >out
harmless out
python3 - <<'PY'
import json
name = json.load(open("out"))["backing-filename"]
assert name.startswith("x\x1b[2J\x9b1m\ufffd\x7f\u202e\u061c\u2066\u2028\ufffd"), ascii(name)
PY
cp evil "$evil.q"
ends 1 check "$evil.q.none"
"$QCOWCTL" check --output=json "./$evil.q" >json
ends 0 check "$evil.q"
harmless out err json

# what is not ASCII and harmless stays
with_name good $'h\xc3\xb6her \xe2\x82\xac \xf0\x9f\x92\xbe.raw'
"$QCOWCTL" info good | grep -q $'file: h\xc3\xb6her \xe2\x82\xac \xf0\x9f\x92\xbe.raw'

# a proposed command has the name as one word, whatever is in it
# shellcheck disable=SC1003,SC2016 # as they are
for name in "x'; touch PWNED; echo '" "$evil" -x "a b" $'two\nlines' 'plain.raw' '\' '$(touch PWNED)'; do
	with_name "hint" "$name"
	unstate hint
	ends "$POLICY" map hint
	harmless err
	hint=$(sed -n 's/^qcowctl: try: qcowctl //p' err)
	printf '%s' "${name/#-/./-}" >want
	bash -c "f() { printf %s \"\$6\" >got; }; f ${hint%, or --backing*}"
	cmp want got
done
[[ ! -e PWNED ]]

# list: sysfs has the names as they are
mkdir -p root/sys/block/qcow1/qcow
echo 259:1 >root/sys/block/qcow1/dev
printf '/%s\n' "$evil" >root/sys/block/qcow1/qcow/image
for form in '' --raw -J; do
	# shellcheck disable=SC2086 # no word without a form
	"$QCOWCTL" list --sysroot root -o IMAGE $form >out
	harmless out
done
python3 -c 'import json; json.load(open("out"))'
