#!/bin/bash
# Chains of 2, 4 and 40 layers read as QEMU reads them.
# kernels: 6.12
# timeout: 120
. "$QCOW_ROOT/scripts/vm/lib.sh"

random_seed
noise_files
layers=40
# what differs between layers of one version is the name of the one below
qemu-img create -q -f qcow2 layer01 4M
qemu-img create -q -f qcow2 -b layer-- -F qcow2 -u -o compat=0.10,cluster_size=4K v2 4M
qemu-img create -q -f qcow2 -b layer-- -F qcow2 -u -o cluster_size=16K v3 4M
for ((i = 2; i <= layers; i++)); do
	LC_ALL=C sed "s/layer--/$(printf 'layer%02d' $((i - 1)))/" "v$((i % 2 + 2))" \
		>"$(printf 'layer%02d' "$i")"
done

# each layer has a part of its own; one process of qemu-io writes them all
commands=()
for ((i = 1; i <= layers; i++)); do
	WRITES=()
	one_write noise $((i * 90112)) 300000
	one_write text $((i * 53248)) 200000
	one_write unmap $((RANDOM * 120 / 512 * 512)) 60000
	commands+=("open -o driver=qcow2 $(printf 'layer%02d' "$i")" "${WRITES[@]}" close)
done
args=()
for command in "${commands[@]}"; do
	args+=(-c "$command")
done
qemu-io "${args[@]}" >qemu-io.log 2>&1 || fail "qemu-io: $(cat qemu-io.log)"
assert_eq "$(grep -c '^wrote' qemu-io.log)" $((3 * layers)) "writes that succeeded"

pairs=()
for depth in 2 4 40; do
	image=$(printf 'layer%02d' "$depth")
	raw_of "$image"
	dev=$(attach -r "$image")
	assert_attr "$dev" depth "$depth"
	pairs+=("$dev" "$image.raw")
done
assert_same_reads -n 200 "${pairs[@]}"
qcowctl detach --all
