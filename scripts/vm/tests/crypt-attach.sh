#!/bin/bash
# Encrypted images are attached with keys from files, standard input, a terminal, an agent and
# keyrings: they read as QEMU reads them, and QEMU reads what was written. A wrong key leaves no device,
# and no key shows in the kernel's log or in a process, nor stays in a keyring.
# kernels: 6.12 6.1 7.3
# cpus: 2
# timeout: 300
. "$QCOW_ROOT/scripts/vm/lib.sh"
# with a keyring that all processes of this test have
[[ -n ${session-} ]] || session=1 exec keyctl session - bash "$0"
. "$QCOW_ROOT/scripts/vm/crypt.sh"

random_seed
fill data 1M 7
# all that is seen of processes meanwhile
while [[ ! -e stop ]]; do
	cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null || :
	sleep 0.5
done >seen &
watcher=$!

echo "what QEMU has written, and what it reads"
# shellcheck disable=SC2034 # one_in takes its name
kinds=('luks,cluster_size=64K' 'luks,compat=0.10,cluster_size=512' 'luks,cluster_size=2M'
	'luks,cluster_size=16K,extended_l2=on' 'luks,data_file=image.data,encrypt.cipher-alg=aes-128'
	'luks,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv' 'luks,encrypt.cipher-mode=cbc' aes
	'luks,encrypt.cipher-alg=serpent-256'
	'luks,encrypt.cipher-alg=twofish-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv')
one_in 3 kinds
for kind in "${kinds[@]}"; do
	rm -f image image.data
	options=(-o "encrypt.format=$kind")
	[[ $kind == aes ]] || options+=(-o encrypt.iter-time=10 --key-file key0)
	qcowctl create "${options[@]}" image 4M
	chain_io "write -P 1 0 1M" "write -P 2 2000K 100K" "write -z 2020K 8K" -- image key0
	qemu-img convert "${secrets[@]}" --image-opts -O raw "$(chain image key0)" want
	dev=$(attach --key-file key0 image)
	assert_attr "$dev" encryption "${kind%%,*}"
	assert_eq "$(qcowctl list -n --raw -o ENCRYPTION "$dev")" "${kind%%,*}"
	cmp "$dev" want
	for at in 0 1536 3000; do
		dd if=data of="$dev" bs=1K seek="$at" count=777 oflag=direct conv=notrunc status=none
		dd if=data of=want bs=1K seek="$at" count=777 conv=notrunc status=none
	done
	cmp "$dev" want
	detach "$dev"
	assert_chain_is want image key0
done
qcowctl create --force -f qcow -o encrypt.format=aes image 4M
dev=$(attach --key-file key0 image)
assert_attr "$dev" encryption aes
dd if=data of="$dev" bs=64K seek=7 oflag=direct status=none
cp --sparse=always "$dev" want
detach "$dev"
qemu-img convert "${secrets[@]}" --image-opts -O raw \
	driver=qcow,file.filename=image,encrypt.key-secret=key0 raw
cmp raw want

echo "where keys are from"
luks image key0 4M --force
chain_io "write -P 1 1M 1M" -- image key0
cp image once
qcowctl key export --key-file key0 --volume-key-file volume image
fill master 32 3
keyctl padd user plain @s <volume >/dev/null
keyctl padd user only-user @u <volume >/dev/null
keyctl padd logon qcow:secret @s <volume >/dev/null
keyctl padd user sealer @s <master >/dev/null
blob=$(python3 -S "$QCOW_ROOT/scripts/vm/guest/seal.py" sealer master volume)
keyctl add encrypted sealed "$blob" @s >/dev/null
# holds DEVICE: it has what was written
holds() {
	cmp -n $((1 << 20)) -i $((1 << 20)):0 "$1" <(head -c 1M /dev/zero | tr '\0' '\1')
	detach "$1"
}
holds "$(attach -r --key-file - image <key0)"
for name in user:plain user:only-user logon:qcow:secret encrypted:sealed; do
	holds "$(attach --key-description "$name" image)"
	keyctl request "${name%%:*}" "${name#*:}" >/dev/null 2>&1 || [[ $name == user:only-user ]]
done
mkdir bin
printf '#!/bin/bash\necho "open sesame 0"\n' >bin/systemd-ask-password
chmod +x bin/systemd-ask-password
holds "$(PATH=$PWD/bin:$PATH attach image)"
coproc TERMINAL { script -qfec "qcowctl attach image" /dev/null; }
IFS= read -r -d: prompt <&"${TERMINAL[0]}"
assert_eq "$prompt" "Passphrase of image"
echo "open sesame 0" >&"${TERMINAL[1]}"
read -r -d/ _ <&"${TERMINAL[0]}"
IFS= read -r dev <&"${TERMINAL[0]}"
assert_eq "/${dev%$'\r'}" /dev/qcow0 "what it printed"
wait "$TERMINAL_PID"
holds /dev/qcow0

echo "wrong keys"
printf '#!/bin/bash\nexit 1\n' >bin/systemd-ask-password
head -c 32 volume | keyctl padd logon qcow:short @s >/dev/null
head -c 64 /dev/zero | keyctl padd logon qcow:zeros @s >/dev/null
head -c 64 /dev/zero | keyctl padd user zeros @s >/dev/null
cp image once
# no_device STATUS REGEX ARGUMENT...
no_device() {
	assert_refused "$1" "$2" qcowctl attach "${@:3}" image
	assert_eq "$(qcowctl list)" '' list
	cmp image once
}
no_device 10 "image: the passphrase opens no key slot" --key-file key1
no_device 10 "image: the key 'user:zeros' is not its volume key" --key-description user:zeros
no_device 10 "key of 32 bytes: the image has one of 64" --key-description logon:qcow:short
no_device 9 "user:none: cannot find this key" --key-description user:none
no_device 1 "more keys are given \(2\) than it has encrypted layers \(1\)" --key-file key0 --key-file key0
PATH=$PWD/bin:$PATH no_device 2 "systemd-ask-password: got no passphrase"

echo "a chain with two keys and none"
mv image base
keyctl padd user base @s <volume >/dev/null
qemu-img create -q -f qcow2 -b base -F qcow2 -u plain 4M
luks top key1 4M -b plain -F qcow2
chain_io "write -P 2 2M 1M" -- plain - base key0
layers=(top key1 plain - base key0)
chain_io "write -P 3 3M 64K" -- "${layers[@]}"
qemu-img convert "${secrets[@]}" --image-opts -O raw "$(chain "${layers[@]}")" want
assert_refused 10 "base: the passphrase opens no key slot" qcowctl attach --key-file key1 top
assert_refused 10 "top: the passphrase opens no key slot" qcowctl attach --key-file key0 top
dev=$(attach --key-file key1 --key-description user:base top)
assert_attr "$dev" depth 3
cmp "$dev" want
# parts of sectors' neighbours come from each of the layers
for at in 1020 2040 3060 3500; do
	dd if=data of="$dev" bs=1K seek="$at" count=77 oflag=direct conv=notrunc status=none
	dd if=data of=want bs=1K seek="$at" count=77 conv=notrunc status=none
done
cmp "$dev" want

echo "a layer that two devices have"
luks other key2 4M -b base -F qcow2
second=$(attach --key-file key2 --key-file key0 other)
assert_attr "$second" shared_layers 1
holds "$second"
assert_refused 10 "another key|with another" \
	qcowctl attach -r --key-file key2 --key-description logon:qcow:zeros other
detach "$dev"
assert_chain_is want "${layers[@]}"

echo "a snapshot"
dev=$(attach --key-file key1 --key-file key0 top)
qcowctl snapshot -c one "$dev"
dd if=data of="$dev" bs=1M seek=1 oflag=direct conv=notrunc status=none
second=$(attach --snapshot one --key-file key1 --key-file key0 top)
cmp "$second" want
detach "$second"
dd if=data of=want bs=1M seek=1 conv=notrunc status=none
detach "$dev"
assert_chain_is want "${layers[@]}"

touch stop
wait "$watcher"
[[ $(grep -ac qcowctl seen) -gt 0 ]] || fail "nothing has been seen"
! grep -a "open sesame" seen || fail "a process shows a passphrase"
assert_not_logged "open sesame|$(od -An -v -t x1 volume | tr -d ' \n' | head -c 16)"
! grep 'qcow:[0-9]' /proc/keys | grep -v 'I--Q--i' || fail "keys are left: $(</proc/keys)"
