/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a machine has of what qcowctl needs, and what helps where something is missing.
 */
#ifndef QCOWCTL_DOCTOR_H
#define QCOWCTL_DOCTOR_H

/**
 * doctor() - look, and print a line for each part, with what helps, to stdout
 * @root: directory that stands for /, or ""
 *
 * Nothing is changed or loaded. May block.
 *
 * Return: 0; QC_NO_DRIVER: images cannot be attached.
 */
int doctor(const char *root);

#endif /* QCOWCTL_DOCTOR_H */
