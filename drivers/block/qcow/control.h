/* SPDX-License-Identifier: GPL-2.0 */
/* The control node, /dev/qcow-control; the ABI is uapi/linux/qcow.h. */
#ifndef _QCOW_CTL_H
#define _QCOW_CTL_H

int qcow_ctl_module_init(void);
void qcow_ctl_module_exit(void);

#endif /* _QCOW_CTL_H */
