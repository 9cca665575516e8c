# shellcheck shell=bash
# Figures of several rounds, and a table of them. Sourced, in the guest.

# shellcheck disable=SC2034 # those that source it take it
rounds=${BENCH_ROUNDS:-3}

# in_ms COMMAND...: prints how long it takes
in_ms() {
	local from=${EPOCHREALTIME/./}
	"$@" >/dev/null
	echo "$(((${EPOCHREALTIME/./} - from + 500) / 1000))"
}

declare -A figures=()
# note NAME COMMAND...: the figure that it prints, of one round
note() {
	local figure
	figure=$("${@:2}")
	figures[$1]+=" $figure"
}

# busy: CPU time of the guest so far, in milliseconds
busy() {
	awk -v hz="$(getconf CLK_TCK)" '/^cpu / { print ($2 + $3 + $4 + $7 + $8) * 1000 / hz }' /proc/stat
}

# timed NAME COMMAND...: how long it takes, and the CPU time meanwhile
timed() {
	local before
	before=$(busy)
	note "$1" in_ms "${@:2}"
	note "$1-cpu" awk -v from="$before" -v to="$(busy)" 'BEGIN { printf "%d\n", to - from }'
}

median() {
	local sorted
	mapfile -t sorted < <(tr ' ' '\n' <<<"${figures[$1]}" | sort -n | sed '/^$/d')
	echo "${sorted[${#sorted[@]} / 2]}"
}

# row NAME UNIT TITLE [most|least FACTOR OTHER]: all rounds, the median, and whether that is at most,
# or at least, FACTOR times that of another row
row() {
	local verdict=''
	if [[ $# -gt 3 ]]; then
		verdict=$(awk -v it="$(median "$1")" -v how="$4" -v factor="$5" -v name="$6" \
			-v other="$(median "$6")" 'BEGIN {
			met = how == "most" ? it <= factor * other : it >= factor * other
			printf "%.2f of %s, at %s %s: %s", it / other, name, how, factor,
				met ? "met" : "NOT met" }')
	fi
	printf '%-10s %-52s %8s %-4s (%s)  %s\n' "$1" "$3" "$(median "$1")" "$2" "${figures[$1]# }" \
		"$verdict" >>"$QCOW_OUT/table"
}
