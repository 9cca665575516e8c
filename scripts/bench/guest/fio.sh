# shellcheck shell=bash
# From a pattern, the second field of a row, to fio. Sourced, in the guest.

# fio_common FIO: sets the array $common, what fio is told of a pattern
fio_common() {
	local rw bs depth jobs words word
	read -r rw bs depth jobs words <<<"$1"
	common=(--rw="$rw" --bs="$bs" --iodepth="$depth" --numjobs="$jobs"
		--ioengine=libaio --direct=1 --fallocate=none --norandommap
		--disk_util=0 --eta=never --group_reporting --output-format=json)
	case $rw in
	read | randread) common+=(--readonly) ;;
	esac
	for word in $words; do
		case $word in
		fsync) common+=(--fsync=1) ;;
		one-cpu) ;; # scripts/bench/guest/main
		*) die "a pattern of no known kind: $1" ;;
		esac
	done
}
