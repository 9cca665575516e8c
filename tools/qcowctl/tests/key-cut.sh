#!/bin/bash
# Power fails at each write of a change of key slots, and any sectors that no sync had made durable are
# lost; each call fails once; there is no space: the slots that were to stay open, each other one is
# whole or inactive, and what was erased leaves nothing.
# slow
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
with_faults cut journal fail
printf secret >key
for word in two three; do
	printf '%s' "$word" >"$word"
done
# QEMU's slots alone, one after the other
cat >slots.py <<'PY'
import struct
import sys

with open(sys.argv[1], "rb") as f:
    data = bytearray(f.read())
at = struct.unpack_from(">Q", data, data.index(bytes.fromhex("0537be7700000010")) + 8)[0]
states = [at + 208 + 48 * i for i in range(8)]
active = [s for s in states if data[s : s + 4] == b"\x00\xac\x71\xf3"]
assert all(data[s : s + 4] == b"\x00\x00\xde\xad" for s in states if s not in active)
for nr, kept in enumerate(active):
    for s in active:
        data[s : s + 4] = b"\x00\xac\x71\xf3" if s == kept else b"\x00\x00\xde\xad"
    with open(f"alone.{nr}", "wb") as f:
        f.write(data)
PY

# judge IMAGE: each active slot opens with one of the passphrases, one with $stays
judge() {
	local slot word status opened seen=''
	"$QCOWCTL" check -q "$1" >"$1.check" 2>&1 || die "$(cat "$1.check")"
	rm -f alone.*
	python3 slots.py "$1"
	for slot in alone.*; do
		opened=''
		for word in key two three; do
			status=0
			"$TEST_CRYPT" "$slot" "$word" "$data" $((data / 512)) >text 2>err || status=$?
			[[ $status -eq 0 || $status -eq $WRONG_KEY ]] || die "$slot: $(cat err)"
			[[ $status -ne 0 ]] || opened=$word
		done
		[[ -n $opened ]] || die "$slot opens with none"
		grep -q ' 1$' text || [[ $opened != three ]]
		seen+=" $opened"
	done
	for word in $stays; do
		[[ " $seen " != *" $word "* ]] || return 0
	done
	die "none of $stays opens, but $seen"
}
export data stays here WRONG_KEY TEST_CRYPT
export -f judge die

# step STAYS ARGUMENT...: change the slots of base, with all that can go wrong; one of STAYS opens
# whatever happens
step() {
	stays=$1
	command=("$QCOWCTL" key "${@:2}" image)
	cp base image
	JOURNAL=$PWD/journal LD_PRELOAD=$PWD/journal.so "${command[@]}"
	judge image
	cp image next
	cut_in_journal base judge "$RANDOM" 3
	points=$((points + number))
	cut_at_writes base judge 9 1
	points=$((points + number))
	fail_calls base judge 1 3 is_2_4_or_0
	failures=$((failures + number))
	mv next base
}
# gone SLOT: of what the file old had there as key material and salt, nothing is left
gone() {
	python3 - "$1" <<-'PY'
	import struct, sys
	slot = int(sys.argv[1])
	def read(name):
	    with open(name, "rb") as f:
	        data = f.read()
	    at = struct.unpack_from(">Q", data, data.index(bytes.fromhex("0537be7700000010")) + 8)[0]
	    salt, sector = struct.unpack_from(">32sI", data, at + 208 + 48 * slot + 8)
	    return salt, data[at + sector * 512 :][:64 * 4000], data
	salt, material, _ = read("old")
	salt_now, material_now, now = read("base")
	assert any(salt) and not any(salt_now) and salt not in now
	assert not any(material[i : i + 512] == material_now[i : i + 512]
	               for i in range(0, len(material), 512))
	PY
}
points=0 failures=0
fast=(--iter-time 1)
# shellcheck disable=SC2034
kinds=(cluster_size=512 cluster_size=64K 'compat=0.10,cluster_size=4K')
one_in 3 kinds
for options in "${kinds[@]}"; do
	rm -f image
	create_luks -o "$options" image 1M
	encrypted_io 'write -P 1 0 64K'
	mv image base
	data=$("$QCOWCTL" map --output json base |
		sed -n 's/.*"start": 0,.*"offset": \([0-9]*\).*/\1/p')
	step key add --key-file key --new-key-file two "${fast[@]}"
	# across a border of sectors
	step key add --key-file key --new-key-file three --slot 6 "${fast[@]}"
	cp base old
	step 'key two' change --key-file key --new-key-file two --slot 7 "${fast[@]}"
	gone 0
	cp base old
	step two erase --key-file three
	gone 6
	step two erase --slot 1 --key-file two
done
echo "$points cuts, $failures failed calls"
[[ $points -gt $((60 * ${#kinds[@]})) && $failures -gt $((10 * ${#kinds[@]})) ]]
