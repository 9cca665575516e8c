# shellcheck shell=bash
# For the tests that let scripts/vm/guest/model write to many images; sourced after lib.sh.
#   cases  an array of `FORMAT OPTIONS CLUSTER START`: of qemu-img create (`-`: none), and
#          what the image begins with:
#     empty       nothing
#     mixed       data and zeros at random
#     compressed  the same, and compressed clusters
#     snapshot    data and zeros, of which an internal snapshot has a part
#     on-raw      data and zeros, on a raw backing file
#     on-qcow2    the same, on an image of other clusters
# OPTIONS with data_file_raw also have an external data file; with `luks` or `aes` as one of them
# the image is encrypted.
#   attach_options  an array of what `qcowctl attach` gets besides
# shellcheck disable=SC2154

# model DEVICE SHADOW [OPTION...]
model() { "$QCOW_ROOT/scripts/vm/guest/model" -s "$SEED" "${@:3}" "$1" "$2" || fail "model $*"; }

# note_refused FILE: what the model said, printed; operations that failed go to $refused
note_refused() {
	cat "$1"
	[[ ! $(<"$1") =~ ([0-9]+)\ failed(,|$) ]] || refused=$((refused + BASH_REMATCH[1]))
}

case_size() {
	case $1 in
	512) echo $(((4 << 20) + 1536)) ;;
	4K) echo $(((6 << 20) + 2560)) ;;
	2M) echo $(((22 << 20) + 512)) ;;
	*) echo $(((12 << 20) + 7680)) ;;
	esac
}

# QEMU cannot read version 1 beyond the end of its backing file
backing_size() { if [[ $1 == qcow ]]; then echo "$2"; else echo $(($2 * 3 / 4 & -512)); fi; }

# case_key OPTIONS: KEY_FILE is the passphrase of such an image
case_key() {
	KEY_FILE=''
	[[ ,$1, != *,luks,* && ,$1, != *,aes,* ]] || KEY_FILE=key
}

# case_backing START IMAGE SIZE: what IMAGE is an overlay of
case_backing() {
	local SEED=$((SEED + 1)) KEY_FILE=''
	case $1 in
	on-raw)
		fill "$2.base" "$3" "$SEED"
		;;
	on-qcow2)
		qemu-img create -q -f qcow2 -o cluster_size=8K "$2.base" "$3"
		random_writes "$3" 8192 noise text pattern zero compressed
		image_io qcow2 "$2.base" "${WRITES[@]}"
		;;
	esac
}

# case_make NUMBER: image iN, and what QEMU reads from it, iN.raw
case_make() {
	local image=i$1 format options cluster start size bytes KEY_FILE args=()
	local kinds=(noise text pattern zero unmap discard)
	read -r format options cluster start <<<"${cases[$1]}"
	RANDOM=$(((SEED + $1) % 32768))
	size=$(case_size "$cluster")
	bytes=$(numfmt --from=iec "$cluster")
	case_key "$options"
	[[ $options != - ]] || options=''
	options=${options:+,$options}
	[[ $options != *data_file_raw* ]] || options+=,data_file=$image.data
	[[ $format == qcow ]] || options+=,cluster_size=$cluster
	options=${options/,luks/,encrypt.format=luks,encrypt.iter-time=10}
	options=${options/,aes/,encrypt.format=aes}${KEY_FILE:+,encrypt.key-secret=key}
	options=${options#,}
	args=(${options:+-o "$options"} ${KEY_FILE:+--object "secret,id=key,file=$KEY_FILE"})
	case $start in
	on-*)
		case_backing "$start" "$image" "$(backing_size "$format" "$size")"
		args+=(-b "$image.base" -F "${start#on-}")
		;;
	compressed) kinds+=(compressed compressed) ;;
	esac
	qemu-img create -q -f "$format" "${args[@]}" "$image" "$size"
	if [[ $start != empty ]]; then
		random_writes "$size" "$bytes" "${kinds[@]}"
		image_io "$format" "$image" "${WRITES[@]}"
	fi
	if [[ $start == snapshot ]]; then
		opened "$format" "$image"
		qemu-img convert -t unsafe -O raw "${OPENED[@]}" "$image.one"
		[[ -n $KEY_FILE ]] || OPENED=("$image")
		qemu-img snapshot -c one "${OPENED[@]}"
		random_writes "$size" "$bytes" "${kinds[@]}"
		image_io "$format" "$image" "${WRITES[@]}"
	fi
	opened "$format" "$image"
	qemu-img convert -t unsafe -O raw "${OPENED[@]}" "$image.raw"
}

# case_run NUMBER SECONDS: written to in two sessions, then compared
case_run() {
	local image=i$1 format options cluster start dev SEED=$((SEED + $1)) zeroes KEY_FILE args=()
	read -r format options cluster start <<<"${cases[$1]}"
	case_key "$options"
	[[ -z $KEY_FILE ]] || args+=(--key-file "$KEY_FILE")
	zeroes=$(numfmt --from=iec "$cluster")
	# only version 3 has an entry that hides the backing file; version 1 frees nothing
	[[ $format != qcow && ($start != on-* || $options != *compat=0.10*) ]] || zeroes=0
	# version 1 does not say of what format its backing file is
	[[ $format != qcow || $start != on-* ]] || args+=(--backing-format "${start#on-}")
	[[ -z ${attach_options[*]:-} ]] || args+=("${attach_options[@]}")
	for _ in 1 2; do
		dev=$(attach "${args[@]}" "$image")
		echo "$dev: ${cases[$1]}"
		model "$dev" "$image.raw" -t "$2" -z "$zeroes"
		detach "$dev"
		SEED=$((SEED + 100))
	done
	assert_clean "$image"
	assert_image_is "$image.raw" "$image" "$format"
	[[ $options != *data_file_raw=on* ]] || cmp -n "$(stat -c %s "$image.raw")" "$image.raw" "$image.data"
	[[ $start != snapshot ]] || case_snapshot "$image"
}

case_snapshot() {
	local dev
	dev=$(attach ${KEY_FILE:+--key-file "$KEY_FILE"} --snapshot one "$1")
	assert_same_reads -n 20 "$dev" "$1.one"
	detach "$dev"
}

# each FUNCTION [ARGUMENT...]: of every case, as many at once as there are CPUs
each() {
	local i pid pids=()
	for i in "${!cases[@]}"; do
		while [[ $(jobs -rp | wc -l) -ge 2 ]]; do sleep 0.1; done
		"$1" "$i" "${@:2}" &
		pids+=("$!")
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "case failed: $*"
	done
}

model_cases() {
	random_seed
	noise_files
	printf secret >key
	one_in 3 cases
	each case_make
	echo "made in $SECONDS s"
	each case_run "$@"
}

# writer: writes to $dev and disk at random until there is a file `stop`
writer() {
	until [[ -e stop ]]; do
		SEED=$((SEED + 1))
		model "$dev" disk -n 25 -p 2 -z 0 -l 65536
	done
}
