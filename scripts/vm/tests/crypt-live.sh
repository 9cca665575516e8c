#!/bin/bash
# An encrypted device gets overlays, a twin, another backing file, and goes back into its backing file,
# while it is written to: what the disk gets is encrypted, and QEMU reads it.
# kernels: 6.12 debug
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/crypt.sh"

readonly SIZE=8M MARK='what nobody is to read, again and again'
# marks FILE: 64 KiB of them
yes "$MARK" | head -c 64K >marks || :
# write_marks DEVICE KIB: on the device, and in want
write_marks() {
	dd if=marks of="$1" bs=1K seek="$2" count=64 oflag=direct conv=notrunc,fsync status=none
	dd if=marks of="${3-want}" bs=1K seek="$2" count=64 conv=notrunc status=none
}
# assert_secret FILE...: nothing that was written is in there as it was
assert_secret() {
	local file
	for file; do
		! grep -qa "$MARK" "$file" || fail "$file tells what was written"
	done
}

luks base key0 "$SIZE"
dev=$(attach --key-file key0 base)
truncate -s "$SIZE" want
write_marks "$dev" 0
write_marks "$dev" 1000

echo "read-only, and back"
qcowctl set --read-only "$dev"
cmp "$dev" want
qcowctl set --read-write "$dev"
write_marks "$dev" 2000

echo "an overlay"
qcowctl overlay --key-file key1 "$dev" over
assert_attr "$dev" encryption luks
write_marks "$dev" 3000
write_marks "$dev" 1030
cmp "$dev" want
assert_secret base over

echo "a twin"
cp want twin.want
twin=$(qcowctl fork --key-file key2 --own own "$dev" twin 2>err)
assert_eq "$(<err)" "qcowctl: $dev: goes on in own"
write_marks "$dev" 4000
write_marks "$twin" 5000 twin.want
cmp "$dev" want
cmp "$twin" twin.want
detach "$twin"
assert_secret base over own twin
layers=(over key1 base key0)
assert_chain_is twin.want twin key2 "${layers[@]}"

echo "committed"
qcowctl commit "$dev" 2>err
[[ ! -s err ]] || fail "commit: $(<err)"
assert_eq "$(attr "$dev" image)" "$PWD/over"
write_marks "$dev" 6000
cmp "$dev" want
assert_secret base over
detach "$dev"
assert_chain_is want "${layers[@]}"

echo "another backing file"
luks next key2 "$SIZE"
dev=$(attach --key-file key1 --key-file key0 over)
assert_refused 10 "next: the passphrase opens no key slot" \
	qcowctl rebase -b next -F qcow2 --key-file key0 "$dev"
qcowctl rebase -b next -F qcow2 --key-file key2 "$dev"
write_marks "$dev" 7000
cmp "$dev" want
detach "$dev"
assert_secret over next
assert_chain_is want over key1 next key2

echo "alone"
dev=$(attach --key-file key1 --key-file key2 over)
qcowctl stream "$dev"
assert_attr "$dev" depth 1
detach "$dev"
assert_chain_is want over key1

echo "into a file that is not encrypted"
qemu-img create -q -f qcow2 plain "$SIZE"
luks top key1 "$SIZE" -b plain -F qcow2
dev=$(attach --key-file key1 top)
truncate -s 0 want
truncate -s "$SIZE" want
write_marks "$dev" 100
assert_eq "$(qcowctl commit --drop "$dev" 2>&1)" \
	"qcowctl: $PWD/plain: warning: is not encrypted: what is committed to it can be read without a key"
assert_attr "$dev" encryption none
# an overlay is encrypted where it is wanted
qcowctl overlay --key-file key0 "$dev" top
assert_attr "$dev" encryption luks
write_marks "$dev" 200
detach "$dev"
assert_chain_is want top key0 plain -

echo "an overlay of old AES has LUKS"
qcowctl create -o encrypt.format=aes aes "$SIZE"
dev=$(attach --key-file key0 aes)
truncate -s 0 want
truncate -s "$SIZE" want
write_marks "$dev" 100
mkdir bin
printf '#!/bin/bash\nexit 1\n' >bin/systemd-ask-password
chmod +x bin/systemd-ask-password
PATH=$PWD/bin:$PATH assert_refused 2 "got no passphrase" qcowctl overlay "$dev" over.aes
[[ ! -e over.aes ]] || fail "there is an overlay"
assert_attr "$dev" encryption aes
qcowctl overlay --key-file key1 "$dev" over.aes
assert_attr "$dev" encryption luks
write_marks "$dev" 200
detach "$dev"
assert_secret aes over.aes
assert_chain_is want over.aes key1 aes key0
