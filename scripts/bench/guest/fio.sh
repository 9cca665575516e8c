# shellcheck shell=bash
# From a pattern, the second field of a row, to fio. Sourced, in the guest.

# fio_common FIO: sets the array $common, what fio is told of a pattern
fio_common() {
	local rw bs depth jobs sync
	read -r rw bs depth jobs sync <<<"$1"
	common=(--rw="$rw" --bs="$bs" --iodepth="$depth" --numjobs="$jobs"
		--ioengine=libaio --direct=1 --fallocate=none --norandommap
		--disk_util=0 --eta=never --group_reporting --output-format=json)
	case $rw in
	read | randread) common+=(--readonly) ;;
	esac
	case $sync in
	'') ;;
	fsync) common+=(--fsync=1) ;;
	*) die "a pattern of no known kind: $1" ;;
	esac
}
