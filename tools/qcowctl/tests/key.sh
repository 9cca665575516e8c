#!/bin/bash
# Key slots are filled, changed and erased; QEMU opens what qcowctl has filled and does not what it has
# erased, and the other way round; data and all other slots stay as they are.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

in_memory
fast=(--iter-time 10)
for word in secret two three füür; do
	printf '%s' "$word" >"$word"
done

# opens WORD..., and nothing else that is known
opens() {
	local word want
	for word in secret two three füür; do
		want=1
		[[ " $* " != *" $word "* ]] || want=0
		secret=(--object "secret,id=key,file=$word")
		if [[ $want -eq 0 ]]; then
			encrypted_io 'read -P 1 0 1M'
			"$TEST_CRYPT" image "$word" "$data" $((data / 512)) | grep -q ' 1$'
		else
			! qemu-io "${secret[@]}" --image-opts -c 'read 0 512' "$opened" >out 2>&1 ||
				die "$word opens it"
			grep -q 'Invalid password' out || die "$(cat out)"
			status=0
			"$TEST_CRYPT" image "$word" 0 0 2>err || status=$?
			[[ $status -eq $WRONG_KEY ]]
		fi
	done
	"$QCOWCTL" check -q image
	same_info qcow2 image
}
active() {
	"$QCOWCTL" key list image | awk '/ active /{ print $1 }' | paste -sd' '
}
# amend SECRET OPTION...: QEMU changes the slots
amend() {
	local key=$1
	shift
	qemu-img amend --object "secret,id=key,file=$key" --object secret,id=two,file=two \
		--image-opts -o "$*" "$opened"
}

# shellcheck disable=SC2034 # one_in takes its name
kinds=('cluster_size=512,encrypt.hash-alg=sha512' 'compat=0.10,cluster_size=64K'
	'cluster_size=2M,refcount_bits=1' 'data_file=data,encrypt.cipher-alg=serpent-256'
	'encrypt.cipher-alg=twofish-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv')
random_seed
one_in 2 kinds
for options in "${kinds[@]}"; do
	rm -f image data
	secret=(--object "secret,id=key,file=secret")
	create_luks -o "$options" image 4M
	encrypted_io 'write -P 1 0 1M'
	data=$("$QCOWCTL" map --output json image |
		sed -n 's/.*"start": 0,.*"offset": \([0-9]*\).*/\1/p')
	[[ $options != *data_file* ]] || data=0
	# with a data file the sector is in that one
	if [[ $options == *data_file* ]]; then
		opens() { same_info qcow2 image; "$QCOWCTL" check -q image; }
	fi
	opens secret
	"$QCOWCTL" key add --key-file secret --new-key-file two "${fast[@]}" image
	[[ $(active) == '0 1' ]]
	opens secret two
	"$QCOWCTL" key add --key-file two --new-key-file füür --slot 7 "${fast[@]}" image
	[[ $(active) == '0 1 7' ]]
	opens secret two füür
	"$QCOWCTL" key change --key-file two --new-key-file three "${fast[@]}" image
	[[ $(active) == '0 2 7' ]]
	opens secret three füür
	"$QCOWCTL" key erase --key-file secret image
	[[ $(active) == '2 7' ]]
	opens three füür

	# QEMU takes its turn
	for _ in {1..20}; do
		amend three encrypt.state=active,encrypt.new-secret=two,encrypt.iter-time=10 2>err &&
			break
	done
	[[ $(active) == '0 2 7' ]]
	opens two three füür
	amend two encrypt.state=inactive,encrypt.keyslot=7
	[[ $(active) == '0 2' ]]
	opens two three

	# all that a passphrase opens go, by number with another one
	"$QCOWCTL" key add --key-file two --new-key-file two "${fast[@]}" image
	"$QCOWCTL" key erase --key-file two image
	[[ $(active) == 2 ]]
	opens three
	"$QCOWCTL" key add --key-file three --new-key-file two --slot 6 "${fast[@]}" image
	"$QCOWCTL" key erase --slot 2 --key-file two image
	[[ $(active) == 6 ]]
	opens two
done

# how long opening takes is measured
"$QCOWCTL" key add --key-file two --new-key-file three --iter-time 1000 image
began=$(date +%s%N)
"$TEST_CRYPT" image three 0 0 2>err || [[ $? -eq $BAD_IMAGE ]]
msec=$((($(date +%s%N) - began) / 1000000))
[[ $msec -ge 400 ]] || die "it takes $msec ms, not 1000"
