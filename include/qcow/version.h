/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The version of the module and of qcowctl, for modinfo and qcowctl --version.
 */
#ifndef _QCOW_VERSION_H
#define _QCOW_VERSION_H

#define QCOW_VERSION "0.1"

#endif /* _QCOW_VERSION_H */
