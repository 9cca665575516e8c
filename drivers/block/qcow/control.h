/* SPDX-License-Identifier: GPL-2.0 */
/* The control node, /dev/qcow-control; the ABI is uapi/linux/qcow.h. */
#ifndef _QCOW_CONTROL_H
#define _QCOW_CONTROL_H

int qcow_control_module_init(void);
void qcow_control_module_exit(void);

#endif /* _QCOW_CONTROL_H */
