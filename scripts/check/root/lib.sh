# shellcheck shell=bash
# For what runs in a throw-away root; sourced. $KERNELS and $OUT are what root.sh says.

# shellcheck disable=SC2034 # used by the scripts that source this
read -r OLD NEW <<<"${KERNELS:?}"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
PATH=/usr/sbin:/usr/bin:/sbin:/bin

# fails COMMAND...: an error of it, which `!` would keep from ending the shell, is what is asked for
fails() { ! "$@"; }

# step NAME COMMAND...: one test, in a shell of its own: with errexit, which a condition would turn
# off
step() {
	local name=$1 err=0
	shift
	(set -e; "$@") >&2 &
	wait "$!" || err=$?
	if [[ $err -eq 0 ]]; then
		echo "ok $name"
	else
		echo "not ok $name"
	fi
}

# kernel_comes RELEASE: what the packages with its headers do when they are installed
kernel_comes() {
	mkdir -p "/lib/modules/$1"
	ln -sfn "/usr/src/linux-headers-$1" "/lib/modules/$1/build"
	if [[ -d /etc/kernel/header_postinst.d ]]; then
		run-parts --verbose --exit-on-error --arg="$1" /etc/kernel/header_postinst.d
	fi
}

# module_is RELEASE VERSION: modprobe finds the module for that kernel, which has that version and
# no debug information
module_is() {
	[[ $(modinfo -k "$1" -F version qcow) == "$2" ]]
	[[ $(modinfo -k "$1" -F vermagic qcow) == "$1 "* ]]
	modprobe -n -S "$1" qcow
	[[ $(stat -c %s "$(modinfo -k "$1" -F filename qcow)") -lt 2000000 ]]
}

# no_module RELEASE: neither a file nor a line of depmod's is left, nor a directory that was made
no_module() {
	fails modprobe -n -S "$1" qcow
	fails grep qcow "/lib/modules/$1"/modules.*
	[[ -z $(find "/lib/modules/$1/" -name '*qcow*') && ! -e /lib/modules/$1/updates ]]
}
