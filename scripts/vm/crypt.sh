# shellcheck shell=bash
# For the tests of encrypted images; sourced after lib.sh. The passphrases are in the files key0 to key2.

secrets=()
for i in 0 1 2; do
	printf 'open sesame %s' "$i" >"key$i"
	secrets+=(--object "secret,id=key$i,file=key$i")
done

# luks IMAGE KEY SIZE [OPTION...]: an image whose key slot is opened in no time
luks() {
	qcowctl create --key-file "$2" -o encrypt.format=luks,encrypt.iter-time=10 "${@:4}" "$1" "$3"
}

# chain IMAGE KEY [IMAGE KEY]...: as QEMU's --image-opts has it; KEY "-": not encrypted
chain() {
	local prefix='' text=''
	while [[ $# -gt 0 ]]; do
		text+=${prefix}driver=qcow2,${prefix}file.driver=file,${prefix}file.filename=$1,
		[[ $2 == - ]] || text+=${prefix}encrypt.key-secret=$2,
		prefix+=backing.
		shift 2
	done
	printf '%s\n' "${text%,}"
}

# chain_io COMMAND... -- IMAGE KEY...: QEMU reads or writes
chain_io() {
	local commands=() output
	while [[ $1 != -- ]]; do
		commands+=(-c "$1")
		shift
	done
	shift
	output=$(qemu-io "${secrets[@]}" --image-opts "${commands[@]}" "$(chain "$@")" 2>&1) ||
		fail "qemu-io: $output"
	[[ $output != *failed* ]] || fail "qemu-io: $output"
}

# assert_chain_is RAW IMAGE KEY...: QEMU reads from a chain what RAW has, and finds nothing wrong
assert_chain_is() {
	local raw=$1 output
	shift
	qemu-img convert "${secrets[@]}" --image-opts -O raw "$(chain "$@")" chain.raw ||
		fail "qemu-img convert $*"
	cmp chain.raw "$raw" || fail "QEMU reads from $* something else than $raw has"
	rm chain.raw
	output=$(qcowctl check "$1" 2>&1) || fail "qcowctl check $1: $output"
	output=$(qemu-img check "${secrets[@]}" --image-opts "$(chain "$@")" 2>&1) ||
		fail "qemu-img check $1: $output"
}
