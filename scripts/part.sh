# shellcheck shell=bash
# For tests that go through long lists of cases, of which a run takes a part; sourced by those in
# a guest and those in user space.

# random_seed: begin a repeatable sequence and say which; QCOW_SEED in the environment asks for one
# seen before.
random_seed() {
	SEED=${QCOW_SEED:-$((SRANDOM % 1000000))}
	RANDOM=$((SEED % 32768))
	echo "seed $SEED"
}

# one_in NUMBER NAME: of each NUMBER elements of that array leave one, and one where there are fewer;
# which ones is up to the seed. With QCOW_ALL in the environment all stay.
one_in() {
	local -n elements=$2
	local i place=0 every=$(($1 < ${#elements[@]} ? $1 : ${#elements[@]}))
	for i in "${!elements[@]}"; do
		[[ -n ${QCOW_ALL:-} || $(((SEED + place++) % every)) -eq 0 ]] || unset "elements[$i]"
	done
}

half() { one_in 2 "$1"; }
