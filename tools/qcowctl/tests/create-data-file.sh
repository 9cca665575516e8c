#!/bin/bash
# An external data file: made beside the image, raw if it is to be.
set -euo pipefail
# shellcheck source=tools/qcowctl/tests/lib.sh
. "$(dirname "$0")/lib.sh"

for options in '' ,data_file_raw=on ,preallocation=metadata ,preallocation=falloc \
	,extended_l2=on ,cluster_size=2M,data_file_raw=on; do
	rm -rf want got
	make_both qcow2 -o "data_file=data$options" image 10M
	same_new qcow2
	[[ $(stat -c %s got/data) -eq 10485760 ]]
	# QEMU looks for it in the working directory
	(cd got && io image qcow2 'read -P 0 0 10M' 'write -P 4 3M 1M' 'read -P 4 3M 1M')
	(cd got && qemu-img check -q image)
	[[ $options != *raw* ]] || io got/data raw 'read -P 4 3M 1M' 'read -P 0 0 3M'
done
# what changes in a raw data file shows in the image, also with subclusters
"$QCOWCTL" create --force -o data_file=data,data_file_raw=on,extended_l2=on image 10486272
[[ $(stat -c %s data) -eq 10486272 ]]
io data raw 'write -P 6 5M 512' 'write -P 6 10M 512'
io image qcow2 'read -P 6 5M 512' 'read -P 6 10M 512' 'read -P 0 0 5M'
qemu-img check -q image
# full and falloc are the data's
for mode in falloc full; do
	"$QCOWCTL" create --force -o "data_file=data,preallocation=$mode" image 10M
	[[ $(stat -c %b data) -ge 20480 ]]
done
# it is where the image will look for it
mkdir sub
"$QCOWCTL" create --force -o data_file=there sub/image 1M
[[ -f sub/there && ! -e there ]]
(cd sub && qemu-img check -q image)
"$QCOWCTL" info sub/image | grep -q there
# one that is there is replaced, unless the image cannot be made
echo old >sub/there
"$QCOWCTL" create --force -o data_file=there sub/image 1M
[[ $(stat -c %s sub/there) -eq 1048576 ]]
mkdir dir
echo old >data
refuse "$POLICY" 'dir: neither a regular file nor' -o data_file=data dir 1M
[[ $(cat data) == old ]]
refuse "$POLICY" 'dir: neither a regular file nor' -o data_file=dir new 1M
refuse "$NOT_FOUND" 'cannot open the directory' -o data_file=no/data new 1M
