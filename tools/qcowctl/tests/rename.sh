#!/bin/bash
# rename moves an image, replaces nothing that it was not told to, and leaves no image behind
# whose own names lead elsewhere.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# expect_not STATUS PATTERN ARGUMENT...: it is refused and nothing changes
expect_not() {
	local before status=$1 pattern=$2
	shift 2
	before=$(ls -iR --ignore=out --ignore=err)
	expect "$status" "$pattern" rename "$@"
	[[ $(ls -iR --ignore=out --ignore=err) == "$before" ]] || die "rename $* changed something"
}
# moved OLD NEW FILE ARGUMENT...
moved() {
	local old=$1 new=$2 inode
	shift 2
	inode=$(stat -c %i "$old")
	"$QCOWCTL" rename "$@" >out 2>err || die "rename $*: $(cat err)"
	[[ ! -s out && ! -s err && ! -e $old && $(stat -c %i "$new") == "$inode" ]] ||
		die "rename $*: $(cat out err; ls -i)"
}

create qcow2 a 1M
mkdir dir
moved a b a b
moved b dir/b b dir
moved dir/b dir/c dir/b dir/c
moved dir/c ./c dir/c .
moved c dir/c c dir/
moved dir/c './new name' dir/c 'new name'
moved 'new name' a 'new name' "$PWD/a"
for version in 0.10 1.1; do
	create qcow2 -o compat="$version" v 1M
	moved v w v w
	rm w
done
create qcow v1 1M
moved v1 v1.new v1 v1.new

# what is not renamed, and where nothing is
ln -s a link
echo text >text
expect_not "$POLICY" 'link: is a symbolic link' link b
grep -q "try: qcowctl rename $PWD/a" err
expect_not "$POLICY" 'dir: is no regular file' dir b
expect_not "$NOT_QCOW" 'text: ' text b
expect_not "$NOT_FOUND" 'none: cannot find' none b
expect_not "$NOT_FOUND" 'none: cannot open the directory' a none/b
expect_not "$NOT_FOUND" 'none/: no such directory' a none/
expect_not 2 'cannot rename' a "$(printf '%0300d' 0)"

# what is there
create qcow2 b 1M
cp a dir/a
expect_not "$POLICY" 'b: exists' a b
grep -q 'try: --force' err
expect_not "$POLICY" 'dir/a: exists' a dir
expect_not "$POLICY" 'a: exists' a a
expect_not "$POLICY" 'a: is the same file' --force a a
ln a hard
expect_not "$POLICY" 'hard: is the same file' --force a hard
rm hard
expect_not "$POLICY" 'link: is no regular file' --force b link
mkdir dir/b
expect_not "$POLICY" 'dir/b: is no regular file' --force b dir
moved a b --force a b
moved b a --force b a
# a virtual machine has it
create qcow2 b 1M
hold b
expect_not "$BUSY" 'b: is in use' --force a b
expect_not "$BUSY" 'b: is in use' b c
release

# another file appears there in the last moment: it stays, and so does the image
cc -O1 -shared -fPIC -D_GNU_SOURCE -o race.so "$here/race.c"
lost_race() {
	local inodes
	rm -f b other
	[[ $1 == free ]] || create qcow2 b 1M
	create qcow2 other 1M
	inodes=$(stat -c %i a other)
	OTHER=other LD_PRELOAD=$PWD/race.so expect 2 "$2" rename --force a b
	[[ $(stat -c %i a b) == "$inodes" ]] || die "$2: $(ls -i)"
}
lost_race taken 'b: is another file by now'
lost_race free 'b: has appeared meanwhile'
# a file system that only renames, replacing what is there
rm b
export PLAIN=1 LD_PRELOAD=$PWD/race.so
expect 2 'this file system cannot rename without replacing' rename a b
moved a b --force a b
create qcow2 a 1M
moved b a --force b a
unset PLAIN LD_PRELOAD

# names in the image
create qcow2 base 1M
create qcow2 -b base -F qcow2 over
create qcow2 -b "$PWD/base" -F qcow2 absolute
create qcow -b base -F qcow2 over.v1
create qcow2 -o data_file=data.raw with-data 1M
moved over over2 over over2
moved over2 over over2 over
expect_not "$POLICY" "over: its backing file 'base' is relative to its directory" over dir
grep -q "try: qcowctl rebase -u -F qcow2 -b $PWD/base over" err
expect_not "$POLICY" "its backing file 'base' is relative" over.v1 dir/new
grep -q "try: ln -s $PWD/base dir/base" err
expect_not "$POLICY" "its data file 'data.raw' is relative" with-data dir
expect_not "$POLICY" 'base: is the backing file of over' --force over base
expect_not "$POLICY" 'data.raw: is the data file of with-data' --force with-data data.raw
moved absolute dir/absolute absolute dir
cp base dir/base
expect_not "$POLICY" 'and not the same file from dir' over dir
# the hints help
rm dir/base
ln -s "$PWD/base" dir/base
moved over.v1 dir/over.v1 over.v1 dir
moved over dir/over over dir
ln -s "$PWD/data.raw" dir/data.raw
moved with-data dir/with-data with-data dir
qemu-img check -q dir/over
# what a protocol reaches does not move
create qcow2 -u -b nbd:localhost:1 -F raw far 1M
moved far dir/far far dir

# another file system
if [[ -w /dev/shm && $(stat -c %d /dev/shm) != $(stat -c %d .) ]]; then
	create qcow2 here 1M
	expect_not 2 'is on another file system or mount than here' here "/dev/shm/qcow-test-$$"
	[[ ! -e /dev/shm/qcow-test-$$ ]]
fi
