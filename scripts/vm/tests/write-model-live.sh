#!/bin/bash
# As write-model, while snapshots are made, looked at and deleted, overlays put on the device and
# committed, forks made of it, the device made larger and given other backing files, at random: it
# gives what a raw file gives; each snapshot, each layer and each fork holds what it held; QEMU agrees, and finds
# nothing wrong and nothing leaked.
# kernels: 6.12
# cpus: 2
# timeout: 240
. "$QCOW_ROOT/scripts/vm/lib.sh"
. "$QCOW_ROOT/scripts/vm/model.sh"

cases=(
	"qcow - 4K empty"
	"qcow - 512 on-raw"
	"qcow2 compat=0.10 4K mixed"
	"qcow2 compat=0.10 64K on-qcow2"
	"qcow2 refcount_bits=64 512 empty"
	"qcow2 refcount_bits=8 4K mixed"
	"qcow2 lazy_refcounts=on 64K empty"
	"qcow2 - 2M mixed"
	"qcow2 extended_l2=on 16K on-qcow2"
	"qcow2 extended_l2=on,refcount_bits=4 64K mixed"
)

# Of one device: $dev, its image $top, the snapshots of that, all layers and forks.
begin_live() { top=$image snapshots=() layers=() forks=() forked='' committed=() nr=0; }

# is_snapshot NAME: the snapshot NAME of the device's image holds what it held
is_snapshot() {
	local beside
	beside=$(attach --snapshot "$1" "$top")
	cmp "$beside" "$top.$1" || fail "snapshot $1 of $top"
	detach "$beside"
}

do_snapshot() {
	local name=s$nr beside
	if [[ ${#snapshots[@]} -eq 3 ]]; then
		is_snapshot "${snapshots[0]}"
		qcowctl snapshot -d "${snapshots[0]}" "$dev"
		snapshots=("${snapshots[@]:1}")
	fi
	qcowctl snapshot -c "$name" "$dev"
	beside=$(attach --snapshot "$name" "$top")
	cp --sparse=always "$beside" "$top.$name"
	detach "$beside"
	snapshots+=("$name")
}

# next_top NAME: the device has gone on in an overlay
next_top() {
	layers+=("$top")
	forget_snapshots
	top=$1
}

# What has them is a layer now, and QEMU may read it.
forget_snapshots() {
	local name
	for name in "${snapshots[@]}"; do
		qemu-img convert -l "$name" -O raw "$top" "$image.expected"
		# QEMU takes them for as long as the disk has become
		cmp -n "$(stat -c %s "$top.$name")" "$image.expected" "$top.$name" ||
			fail "for QEMU, snapshot $name of $top"
		rm "$top.$name"
	done
	snapshots=()
}

do_overlay() {
	qcowctl overlay "$dev" "$image.over$nr"
	next_top "$image.over$nr"
	# half of them do not stay
	[[ $((RANDOM % 2)) -eq 0 ]] || do_commit
}

do_fork() {
	local other
	other=$(qcowctl fork "${args[@]}" --own "$image.own$nr" "$dev" "$image.fork$nr" 2>"$image.said") ||
		fail "fork: $(<"$image.said")"
	forked+=" $top "
	next_top "$image.own$nr"
	cp --sparse=always "$other" "$image.fork$nr.raw"
	detach "$other"
	forks+=("$image.fork$nr")
}

do_resize() { qcowctl resize "+$((RANDOM % 4 + 1))M" "$dev"; }

# do_rebase: to a file that has what the device had a moment ago and other data, or to none. What a
# snapshot does not have itself would be read from it.
do_rebase() {
	local base=$image.base$nr bytes at
	[[ ${#snapshots[@]} -eq 0 ]] || return 0
	if [[ $((RANDOM % 4)) -eq 0 ]]; then
		qcowctl rebase -b '' "$dev"
		return
	fi
	cp --sparse=always "$image.raw" "$base"
	# QEMU cannot read version 1 beyond the end of its backing file
	bytes=$((48 << 20))
	[[ $format == qcow ]] || bytes=$((RANDOM % 16 * 1000448))
	truncate -s $bytes "$base"
	for at in 0 1 2 3; do
		dd if="noise$at" of="$base" bs=512 seek=$((RANDOM % 8192)) conv=notrunc status=none
	done
	fallocate -p -o $((RANDOM % 8192 * 512)) -l 100000 "$base"
	qcowctl rebase -b "$base" -F raw "$dev"
	# for the next fork: version 1 does not say of what format it is
	[[ $(image_format "$top") == qcow2 ]] || args=(--backing-format raw)
}

# do_stream: down to one of the layers, which a rebase may have left behind, or to none; snapshots
# would read less
do_stream() {
	local down=() err=0
	[[ ${#snapshots[@]} -eq 0 ]] || return 0
	[[ ${#layers[@]} -eq 0 || $((RANDOM % 3)) -eq 0 ]] ||
		down=(--base "${layers[RANDOM % ${#layers[@]}]}" "${args[@]}")
	qcowctl stream "${down[@]}" "$dev" 2>stream.err || err=$?
	[[ $err -eq 0 ]] || grep -q 'is no backing file of' stream.err || fail "$(<stream.err)"
}

# do_commit: into the layer below, on which no fork may stand. Snapshots of that which have no size of
# their own would get another one.
do_commit() {
	local base
	[[ ${#snapshots[@]} -eq 0 && ${#layers[@]} -gt 0 ]] || return 0
	base=${layers[-1]}
	[[ $forked != *" $base "* && $(attr "$dev" backing) == "$PWD/$base" ]] || return 0
	if qcowctl commit "$dev" 2>commit.err; then
		committed+=("$top")
		top=$base
		unset 'layers[-1]'
	else
		grep -q 'snapshot' commit.err || fail "$(<commit.err)"
	fi
}

writes_some() {
	local counts
	read -r -a counts <"/sys/block/${dev#/dev/}/stat"
	[[ ${counts[4]} -gt 0 ]]
}

# operate_live PID: operations at random while the process is writing
operate_live() {
	local operations=(overlay overlay fork resize rebase rebase stream commit commit)
	# version 1 has no snapshots, and version 2 no size for each
	[[ $format == qcow ]] || operations+=(snapshot snapshot snapshot snapshot)
	[[ $format == qcow || $options == *compat=0.10* ]] || operations+=(resize)
	wait_for 10 writes_some
	while kill -0 "$1" 2>/dev/null; do
		nr=$((nr + 1))
		"do_${operations[RANDOM % ${#operations[@]}]}"
		[[ ${#layers[@]} -lt 4 ]] || operations=(resize rebase stream commit)
		sleep "0.$((RANDOM % 4))"
	done
	wait "$1" || fail "the model"
}

# live_run NUMBER SECONDS
live_run() {
	local image=i$1 format options cluster start dev zeroes fork args=()
	local top snapshots layers forks forked committed nr
	local SEED=$((SEED + $1))
	RANDOM=$((SEED % 32768))
	read -r format options cluster start <<<"${cases[$1]}"
	[[ $format != qcow || $start != on-* ]] || args=(--backing-format "${start#on-}")
	begin_live
	dev=$(attach "${args[@]}" "$image")
	echo "$dev: ${cases[$1]}"
	# what is discarded shows a layer below, or is zeros
	model "$dev" "$image.raw" -t "$2" -z 0 -p 2 &
	operate_live "$!"
	echo "$dev: $nr operations, ${#layers[@]} layers, ${#snapshots[@]} snapshots," \
		"${#committed[@]} commits"
	cmp -n "$(stat -c %s "$image.raw")" "$dev" "$image.raw" || fail "$dev is not what was written"
	detach "$dev"
	forget_snapshots
	# gaps of version 1 are filled by a detach alone
	[[ $format != qcow || $top == "$image" ]] || layers=("${layers[@]:1}")
	assert_clean "${layers[@]}" "$top" "${forks[@]}" "${committed[@]}"
	truncate -s "$(image_size "$top")" "$image.raw"
	assert_image_is "$image.raw" "$top" "$(image_format "$top")"
	for fork in "${forks[@]}"; do
		assert_image_is "$fork.raw" "$fork"
	done
}

# image_format IMAGE: qcow or qcow2
image_format() { if [[ $(peek "$1" 4 4) -eq 1 ]]; then echo qcow; else echo qcow2; fi; }
image_size() { peek "$1" 24 8; }

random_seed
noise_files
one_in 3 cases
each case_make
echo "made in $SECONDS s"
each live_run 8
