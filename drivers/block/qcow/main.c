// SPDX-License-Identifier: GPL-2.0
/*
 * Module entry and exit. The control node is the last thing to come and the first to go.
 */
#include <linux/module.h>

#include "cache.h"
#include "ctl.h"
#include "device.h"
#include "dirty.h"
#include "request.h"

static int __init qcow_init(void)
{
	int err;

	err = qcow_cache_module_init();
	if (err)
		return err;
	err = qcow_dirty_module_init();
	if (err)
		goto err_cache;
	err = qcow_request_module_init();
	if (err)
		goto err_dirty;
	qcow_discard_module_init();
	err = qcow_device_module_init();
	if (err)
		goto err_request;
	err = qcow_ctl_module_init();
	if (err)
		goto err_device;
	return 0;

err_device:
	qcow_device_module_exit();
err_request:
	qcow_request_module_exit();
err_dirty:
	qcow_dirty_module_exit();
err_cache:
	qcow_cache_module_exit();
	return err;
}

static void __exit qcow_exit(void)
{
	qcow_ctl_module_exit();
	qcow_device_module_exit();
	qcow_request_module_exit();
	qcow_dirty_module_exit();
	qcow_cache_module_exit();
}

module_init(qcow_init);
module_exit(qcow_exit);

MODULE_DESCRIPTION("QCOW disk images as block devices");
MODULE_AUTHOR("The qcow authors");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: zlib_inflate zstd_decompress");
