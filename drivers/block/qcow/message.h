/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rate-limited log lines of the I/O path, one place for their form:
 *   qcow0: layer 1: L2 entry 0x8000000000000401: reserved bits 0x400
 */
#ifndef _QCOW_MESSAGE_H
#define _QCOW_MESSAGE_H

struct qcow_flaw;
struct qcow_image;

/**
 * qcow_message_flaw() - log a corrupt table entry
 * @image: the layer it was read from
 * @flaw: what is wrong
 */
void qcow_message_flaw(const struct qcow_image *image, const struct qcow_flaw *flaw);

/**
 * qcow_message() - log one line about a layer
 * @image: the layer
 * @fmt: lower case, no full stop, no line feed
 */
__printf(2, 3) void qcow_message(const struct qcow_image *image, const char *fmt, ...);

#endif /* _QCOW_MESSAGE_H */
