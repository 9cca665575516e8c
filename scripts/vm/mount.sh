# shellcheck shell=bash
# For tests of mount: the programs that mount(8) and umount(8) look for, and images with file
# systems.

for program in mount.qcow2 mount.qcow umount.qcow2; do
	ln -sf "$(type -P qcowctl)" "/sbin/$program"
done

# no_device WHEN: nothing is attached; an image is anybody's as soon as umount has returned
no_device() { assert_eq "$(qcowctl list)" "" "attached $1"; }

# make_fs TYPE IMAGE SIZE [ARGUMENT...]: an image with a file system, and in that a file "data"
make_fs() {
	local dev
	qcowctl create -q --force "$2" "$3"
	dev=$(attach "$2")
	"mkfs.$1" -q "${@:4}" "$dev"
	mkdir -p made
	mount "$dev" made
	echo "$1 $2" >made/data
	umount made
	detach "$dev"
}
