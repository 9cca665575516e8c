# shellcheck shell=bash
# For tests in a Debian system that is made for them and thrown away, with programs and headers of
# two kernels, but no kernel. Sourced, after lib.sh.

# the older kernel comes first
declare -A suite_kernels=([bookworm]="6.1 6.12" [trixie]="6.12 7.3")
# what is not the compiler of the suite itself
declare -A suite_compilers=([bookworm]='' [trixie]=gcc-12)

# root_packages SUITE: what is installed: what headers need, and the build of qcowctl
root_packages() {
	sed -n '/^Build-Depends-Arch:/,/^[A-Z].*: ./ s/^ \(.*\),$/\1/p' "$ROOT/debian/control"
	printf '%s\n' build-essential kmod libelf-dev openssl pahole patch "${suite_compilers[$1]}"
}

# in_root SUITE DIRECTORY TEST ARGUMENT...: runs scripts/check/root/TEST in the directory that
# has the content of DIRECTORY/in, with $OUT, which becomes DIRECTORY/out, and $KERNELS, the
# releases whose headers are in /usr/src. Counts the lines of result that it prints.
in_root() {
	local suite=$1 dir=$2 test=$3 archive kernel stock releases=() hooks=()
	archive=$("$ROOT/scripts/vm/root-tree" "$suite" "$(root_packages "$suite" | xargs)" "dkms lsb-release")
	for kernel in ${suite_kernels[$suite]}; do
		stock=$("$ROOT/scripts/vm/kernel" "$kernel")
		releases+=("$(<"$stock/release")")
		hooks+=(--setup-hook="$ROOT/scripts/check/root/headers '$stock' \"\$1\"")
	done
	rm -rf "$dir/out"
	cp "$ROOT/scripts/check/root/$test" "$ROOT/scripts/check/root/lib.sh" "$dir/in/"
	{
		printf 'cd /var/tmp/in\nexport OUT=/var/tmp/out KERNELS=%q\n' "${releases[*]}"
		printf '%q ' "./$test" "${@:4}"
	} >"$dir/in/command"
	# shellcheck disable=SC2016 # $1 is the hook's
	mmdebstrap --quiet --variant=custom --skip=update,cleanup \
		--setup-hook="tar -C \"\$1\" --exclude='./dev/*' -xpf '$archive'" "${hooks[@]}" \
		--customize-hook="copy-in '$dir/in' /var/tmp" \
		--customize-hook='out=$1/var/tmp/out; mkdir "$out"
			chroot "$1" bash /var/tmp/in/command >"$out/results" || echo "not ok end" >>"$out/results"' \
		--customize-hook="copy-out /var/tmp/out '$dir'" '' /dev/null >&2 ||
		die "no root of $suite"
	run_tests "$suite" cat "$dir/out/results"
}
