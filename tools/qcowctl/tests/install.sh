#!/bin/bash
# What is installed is where users have it in their path, and all of it goes.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# The program of a build without sanitizers, and no variables of the make that runs the tests.
tool() {
	env -u MAKEFLAGS -u MAKELEVEL -u SAN \
		make -s -C "$here/.." DESTDIR="$PWD/root" PREFIX=/usr "$@" >out
}
tool install
find root -type f -printf '%m /%P\n' | sort >got
diff got - <<-'END'
	644 /usr/lib/udev/rules.d/60-qcow.rules
	644 /usr/share/bash-completion/completions/qcowctl
	644 /usr/share/man/man8/mount.qcow2.8
	644 /usr/share/man/man8/qcowctl.8
	755 /usr/bin/qcowctl
END
[[ $(PATH=$PWD/root/usr/bin qcowctl --version) == qcowctl\ * ]]
for name in mount.qcow2 mount.qcow umount.qcow2; do
	[[ $(readlink "root/sbin/$name") == /usr/bin/qcowctl ]] || die "/sbin/$name"
	[[ -e root/usr/share/man/man8/$name.8 ]] || die "no page of $name"
done
tool uninstall
[[ -z $(find root ! -type d) ]] || die "left: $(find root ! -type d)"
