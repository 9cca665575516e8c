// SPDX-License-Identifier: GPL-2.0
/*
 * Module entry and exit. The control node is the last thing to come and the first to go.
 */
#include <linux/module.h>

#include <qcow/version.h>

#include "control.h"
#include "device.h"
#include "inject.h"

static int __init qcow_init(void)
{
	int err;

	err = qcow_inject_module_init();
	if (err)
		return err;
	err = qcow_device_module_init();
	if (err)
		goto exit_inject;
	err = qcow_control_module_init();
	if (err)
		goto exit_device;
	return 0;

exit_device:
	qcow_device_module_exit();
exit_inject:
	qcow_inject_module_exit();
	return err;
}

static void __exit qcow_exit(void)
{
	qcow_control_module_exit();
	qcow_device_module_exit();
	qcow_inject_module_exit();
}

module_init(qcow_init);
module_exit(qcow_exit);

MODULE_DESCRIPTION("QCOW disk images as block devices");
MODULE_AUTHOR("The qcow authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(QCOW_VERSION);
MODULE_SOFTDEP("pre: zlib_inflate zstd_decompress");
