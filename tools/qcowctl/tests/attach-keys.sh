#!/bin/bash
# The keys of encrypted layers: from files, standard input, somebody who is asked, and keyrings, in the
# order of the layers. A wrong one is told before the driver hears of the image. The driver gets
# numbers; no key is in the memory of the process then, and none in the kernel afterwards.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

[[ -n ${session-} ]] || session=1 exec keyctl session - bash "$0"
in_memory
with_faults control
export CONTROL_ERROR=126 CONTROL_LOG=$PWD/log	# ENOKEY
for i in 0 1 2; do
	printf 'passphrase %s' "$i" >"key$i"
done
# make IMAGE KEY [OPTION...]
make() {
	secret=(--object "secret,id=key,file=$2")
	create_luks "${@:3}" "$1" 1M
}
make base key0
make middle key0 -b base -F qcow2
create qcow2 -b middle -F qcow2 plain
make top key1 -b plain -F qcow2
create qcow2 "${secret[@]}" -o encrypt.format=aes,encrypt.key-secret=key aes 1M
create qcow2 none 1M
python3 "$here/volume_key.py" base key0 >volume_key
for name in key0 key1 volume_key; do
	python3 -c 'import sys; sys.stdout.buffer.write(bytes(255 - b for b in sys.stdin.buffer.read()))' \
		<"$name" >"$name.inverted"
done
export CONTROL_SECRETS='key0.inverted key1.inverted volume_key.inverted'

# gives LINES ARGUMENT...: an attach hands over these keys
gives() {
	local status=0
	rm -f log
	LD_PRELOAD=$PWD/control.so "$QCOWCTL" attach "${@:2}" >out 2>err || status=$?
	[[ $status -eq $WRONG_KEY ]] || die "attach ${*:2}: status $status: $(cat err)"
	grep -q 'cannot attach: ' err || die "attach ${*:2}: $(cat err)"
	[[ $(paste -sd, log) == "$1" ]] || die "attach ${*:2}: not '$1': $(cat log)"
	[[ ! -s out ]]
}
# refuses STATUS PATTERN ARGUMENT...: the driver does not hear of it
refuses() {
	rm -f log
	LD_PRELOAD=$PWD/control.so expect "$1" "$2" attach "${@:3}"
	[[ ! -e log ]] || die "${*:3}: the driver has been asked"
	! grep -q 'passphrase [0-9]' err || die "it tells the passphrase: $(cat err)"
}

# for the layers from the top down; the last one goes on, also when it can be read but once
four='logon qcow:0,0,logon qcow:2,logon qcow:3'
gives "$four" --key-file key1 --key-file key0 --key-file key0 top
gives "$four" --key-file key1 --key-file <(cat key0) top
gives "$four" -r --key-file key1 --key-file - top <key0
gives 'logon qcow:0,logon qcow:1' --key-file - middle <key0
refuses "$WRONG_KEY" 'top: the passphrase opens no key slot' --key-file key0 --key-file key1 top
refuses "$WRONG_KEY" 'middle: the passphrase opens no key slot' --key-file key1 top
refuses "$WRONG_KEY" 'base: .* no key slot' --key-file key1 --key-file key0 --key-file key2 top
refuses "$NOT_FOUND" 'absent: cannot open the key file' --key-file absent top
refuses "$USAGE" 'plain: more keys are given \(3\) than it has encrypted layers \(2\)' \
	--key-file key0 --key-file key0 --key-file key0 plain
refuses "$USAGE" 'none: more keys are given \(1\) than it has encrypted layers \(0\)' --key-file key0 none
refuses "$USAGE" 'standard input cannot be two passphrases' --key-file - --key-file - top
expect_ready --key-file key0 base
CONTROL_ERROR=129 gives 'logon qcow:0' --key-file key0 base	# EKEYREJECTED

# the first 16 bytes of a passphrase, none of which is wrong
gives 'logon qcow:0' --key-file key1 aes
gives 'logon qcow:0' --key-file key2 aes

# somebody is asked, for each layer by its name
mkdir bin
cat >bin/systemd-ask-password <<'SH'
#!/bin/bash
printf '%s\n' "${@: -1}" >>asked
sed -n "$(wc -l <asked)p" answers
SH
chmod +x bin/systemd-ask-password
cat key1 <(echo) key0 <(echo) key0 >answers
PATH=$PWD/bin:$PATH gives "$four" top </dev/null
printf 'Passphrase of %s\n' top middle base | cmp - asked || die "asked: $(cat asked)"
rm asked
PATH=$PWD/bin:$PATH refuses "$WRONG_KEY" 'middle: .* no key slot' middle
printf 'Passphrase of %s\n' middle | cmp - asked || die "asked: $(cat asked)"

# keys of the kernel, in the keyring of this session
put() { keyctl padd "$1" "qcow-test:$2" @s >/dev/null; }
put user right <volume_key
put logon right <volume_key
put user wrong < <(head -c 64 /dev/zero)
put user short < <(head -c 63 volume_key)
put user 16 < <(head -c 16 volume_key)
gives 'user qcow-test:right' --key-description user:qcow-test:right base
gives 'logon qcow:0,user qcow-test:right' --key-file key0 --key-description user:qcow-test:right middle
gives 'user qcow-test:16' --key-description user:qcow-test:16 aes
gives 'logon qcow-test:right' --key-description logon:qcow-test:right base
# what cannot be read is the driver's to judge
gives 'logon qcow-test:right' --key-description logon:qcow-test:right aes
refuses "$WRONG_KEY" "base: the key 'user:qcow-test:wrong' is not its volume key" \
	--key-description user:qcow-test:wrong base
refuses "$WRONG_KEY" "base: the key .* has 63 bytes, its volume key has 64" \
	--key-description user:qcow-test:short base
refuses "$WRONG_KEY" "aes: the key .* has 64 bytes, its volume key has 16" \
	--key-description user:qcow-test:right aes
refuses "$WRONG_KEY" 'middle: .* is not its volume key' --key-description user:qcow-test:right middle
refuses "$NOT_FOUND" 'logon:qcow-test:16: cannot find this key: Required key not' \
	--key-description logon:qcow-test:16 base
for name in right user: keyring:right users:right; do
	refuses "$USAGE" "'$name' is not TYPE:DESCRIPTION" --key-description "$name" base
done
# they stay, and are no more than they were
[[ $(keyctl list @s | grep -c 'qcow-test:') -eq 5 ]]

# the keyring of the user, which the session does not lead to
(
	number=$(keyctl padd user "qcow-test:$$" @u <volume_key)
	trap 'keyctl unlink "$number" @u' EXIT
	! keyctl request user "qcow-test:$$" 2>/dev/null || die "the session leads to it"
	# it is linked to the keyring of the process, which ends with it
	gives "user qcow-test:$$,left: user qcow-test:$$" --key-description "user:qcow-test:$$" base
	head -c 64 /dev/zero | keyctl padd user "qcow-test:$$" @u >/dev/null
	refuses "$WRONG_KEY" 'is not its volume key' --key-description "user:qcow-test:$$" base
)
