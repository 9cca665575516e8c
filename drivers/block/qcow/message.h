/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rate-limited log lines of the I/O path, one place for their form. An image that is written to
 * is named by its device, a read-only one, which any number of devices may share, by its path:
 *   qcow0: L2 entry 0x8000000000000401: reserved bits 0x400
 *   qcow: /images/base: L2 entry 0x8000000000000401: reserved bits 0x400
 */
#ifndef _QCOW_MESSAGE_H
#define _QCOW_MESSAGE_H

struct qcow_flaw;
struct qcow_image;

/**
 * qcow_message_flaw() - log a corrupt table entry
 * @image: the image it was read from
 * @flaw: what is wrong
 *
 * Context: any.
 */
void qcow_message_flaw(const struct qcow_image *image, const struct qcow_flaw *flaw);

/**
 * qcow_message() - log one line about an image
 * @image: the image
 * @fmt: lower case, no full stop, no line feed
 *
 * Context: any.
 */
__printf(2, 3) void qcow_message(const struct qcow_image *image, const char *fmt, ...);

#endif /* _QCOW_MESSAGE_H */
