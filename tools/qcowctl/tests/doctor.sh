#!/bin/bash
# doctor says of each part whether it is there, and what helps; its status is that of an attach.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

release=$(uname -r)
version=$("$QCOWCTL" --version)
version=${version#* }

# says STATUS LINE...: each of them is a regular expression of a line
says() {
	local status=0 wanted=$1
	shift
	"$QCOWCTL" doctor --sysroot "$PWD/root" >out 2>err || status=$?
	[[ $status -eq $wanted && ! -s err ]] || die "status $status: $(cat out err)"
	for line; do
		grep -qE "^$line\$" out || die "no line '$line': $(cat out)"
	done
}

mkdir root
says "$NO_DRIVER" "ok +kernel +$release" "missing +module +not installed for $release" \
	" +try: apt-get install linux-headers-$release, and then qcow-dkms" \
	'ok +udev +does not run: .*' 'wanting +mount +no /sbin/mount.qcow2: .*'
mkdir -p "root/lib/modules/$release/build"
says "$NO_DRIVER" " +try: apt-get install qcow-dkms, or dkms autoinstall -k $release"

# one that is loaded
mkdir -p root/sys/module/qcow root/dev root/run/udev root/sbin root/etc/udev/rules.d
echo "$version" >root/sys/module/qcow/version
says "$NO_DRIVER" "ok +module +loaded, version $version" 'missing +node +/dev/qcow-control: not there, .*'
touch root/dev/qcow-control root/run/udev/control root/sbin/mount.qcow2
says 0 'ok +node +/dev/qcow-control' 'wanting +udev +no rules: .*' 'ok +mount +/sbin/mount.qcow2'
touch root/etc/udev/rules.d/60-qcow.rules
says 0 'ok +udev +/etc/udev/rules.d/60-qcow.rules'
[[ $(grep -cE '^(wanting|missing)' out) -eq 0 ]] || die "$(cat out)"
echo 0.0 >root/sys/module/qcow/version
says 0 "wanting +module +version 0.0 is loaded, this is qcowctl $version"

expect "$USAGE" "'what': no argument is wanted" doctor what
