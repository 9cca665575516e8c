#!/bin/bash
# With the rules, udev has names for the device by its image and by what is on it, which never take
# those of the host's disks, and keeps them as the device changes; physical volumes and members of
# arrays on it are left alone unless --activate asks for them.
# kernels: 6.12 6.1
# cpus: 2
# timeout: 150
. "$QCOW_ROOT/scripts/vm/lib.sh"

mkdir -p /run/udev/rules.d
cp "$QCOW_ROOT/tools/udev/60-qcow.rules" /run/udev/rules.d/
# what the stock rules of LVM, mdadm, udisks and systemd look at, seen as they see it
cat >/run/udev/rules.d/69-seen.rules <<'RULES'
SUBSYSTEM=="block", KERNEL=="qcow*", ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}!="1", ENV{SYSTEMD_READY}!="0", ENV{SEEN}="$env{ACTION}"
RULES
/lib/systemd/systemd-udevd --daemon
daemon=$(pidof systemd-udevd)
trap 'kill "$daemon" 2>/dev/null || :; rm -rf /run/udev' EXIT
wait_for 20 test -e /run/udev/control
settle() { udevadm settle --timeout=60; }
# leads LINK NODE
leads() {
	settle
	assert_eq "$(readlink -f "/dev/$1")" "$2" "/dev/$1"
}
property() { udevadm info --query=property "$2" | sed -n "s/^$1=//p"; }
settle

by=qcow/by-image$PWD
qcowctl create -q 'an image' 64M
dev=$(attach 'an image')
leads "$by/an_image" "$dev"
sfdisk -q "$dev" <<'TABLE'
label: gpt
size=16M, name=first
size=16M, name=second
TABLE
settle
mkfs.ext4 -q -L label -U 11111111-2222-3333-4444-555555555555 "${dev}p1"
leads "$by/an_image-part1" "${dev}p1"
leads disk/by-uuid/11111111-2222-3333-4444-555555555555 "${dev}p1"
leads disk/by-label/label "${dev}p1"
leads disk/by-partlabel/second "${dev}p2"
leads "disk/by-partuuid/$(blkid -o value -s PARTUUID "${dev}p2")" "${dev}p2"
assert_eq "$(lsblk -n -o FSTYPE,LABEL "${dev}p1" | tr -s ' ')" "ext4 label"
assert_eq "$(property SEEN "${dev}p1")" change

echo "a clone of a disk of the host"
loop=$(losetup -f --show "${dev}p1")
leads disk/by-label/label "$loop"
losetup -d "$loop"
settle

echo "LVM, MD"
# the first blocks of a physical volume and of a member of an array
python3 - "${dev}p2" <<'PY'
import os, struct, sys
def crc(data):
    value = 0xf597a6cf
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xedb88320 if value & 1 else 0)
    return value
body = struct.pack("<I", 32) + b"LVM2 001" + b"a" * 32 + struct.pack("<Q", 16 << 20)
body += bytes(512 - 20 - len(body))
label = b"LABELONE" + struct.pack("<QI", 1, crc(body)) + body
with open(sys.argv[1], "r+b") as disk:
    disk.seek(512)
    disk.write(label)
    os.fsync(disk)
PY
settle
assert_eq "$(property ID_FS_TYPE "${dev}p2")" LVM2_member
assert_eq "$(property DM_UDEV_DISABLE_OTHER_RULES_FLAG "${dev}p2")" 1
assert_eq "$(property SYSTEMD_READY "${dev}p2")" 0
assert_eq "$(property SEEN "${dev}p2")" ''
settle
detach "$dev"
settle
[[ ! -e /dev/$by/an_image && ! -e /dev/disk/by-label/label ]] || fail "links stay"
dev=$(attach --activate 'an image')
settle
assert_eq "$(property SEEN "${dev}p2")" add
assert_eq "$(property DM_UDEV_DISABLE_OTHER_RULES_FLAG "${dev}p2")" ''
udevadm trigger --action=change "${dev}p2"
settle
assert_eq "$(property SEEN "${dev}p2")" change

echo "changes of the device"
qcowctl resize -q 80M "$dev"
settle
qcowctl overlay "$dev" over
leads "$by/over" "$dev"
leads "$by/over-part1" "${dev}p1"
[[ ! -e /dev/$by/an_image ]] || fail "the old name stays"
qcowctl set --read-only "$dev" 2>said || fail "$(<said)"
leads "$by/over" "$dev"
settle
detach "$dev"
settle
[[ ! -e /dev/$by/over ]] || fail "links stay"

echo "closed after writing: udev's look at it is no use"
dev=$(attach over)
for number in 1 2 3 4 5; do
	printf '%s' "$number" | dd of="$dev" conv=notrunc status=none
	detach "$dev"
	dev=$(attach over)
done
detach "$dev"
settle
