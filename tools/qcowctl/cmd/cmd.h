/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commands of qcowctl. Each parses its arguments in a file of its own and leaves the work
 * to attach/, mount/, image/, check/, create/, snapshot/, bitmap/, crypt/, overlay/, compact/ and
 * driver/.
 */
#ifndef QCOWCTL_CMD_H
#define QCOWCTL_CMD_H

#include "qcowctl.h"

struct image;

/**
 * struct command - one command of qcowctl
 * @name: as typed
 * @summary: one line for the global help
 * @help: the command's own help
 * @run: argv[0] is what messages of getopt() begin with; returns enum qc_exit
 */
struct command {
	const char *name;
	const char *summary;
	const char *help;
	int (*run)(const struct command *cmd, int argc, char **argv);
};

extern const struct command cmd_attach;
extern const struct command cmd_bitmap;
extern const struct command cmd_check;
extern const struct command cmd_create;
extern const struct command cmd_detach;
extern const struct command cmd_doctor;
extern const struct command cmd_fork;
extern const struct command cmd_info;
extern const struct command cmd_job;
extern const struct command cmd_key;
extern const struct command cmd_list;
extern const struct command cmd_map;
extern const struct command cmd_mount;
extern const struct command cmd_monitor;
extern const struct command cmd_overlay;
extern const struct command cmd_snapshot;
extern const struct command cmd_rebase;
extern const struct command cmd_rename;
extern const struct command cmd_resize;
extern const struct command cmd_set;
extern const struct command cmd_stat;
extern const struct command cmd_stream;
extern const struct command cmd_commit;
extern const struct command cmd_compact;

/**
 * cmd_mount_helper() - mount.qcow2 and mount.qcow
 * @argc: of the arguments that mount(8) has for them, with the program's name
 * @argv: those
 *
 * Return: exit status, as mount(8) has it
 */
int cmd_mount_helper(int argc, char **argv);

/* umount.qcow2, likewise for umount(8). */
int cmd_umount_helper(int argc, char **argv);

/**
 * cmd_usage() - after a wrong command line, say where the help is
 * @cmd: the command
 *
 * Return: QC_USAGE
 */
int cmd_usage(const struct command *cmd);

/**
 * cmd_help() - print the help of a command to stdout
 * @cmd: the command
 *
 * Return: QC_OK
 */
int cmd_help(const struct command *cmd);

/**
 * cmd_parse_output() - the argument of --output
 * @text: the argument
 * @json: result, true: json, false: human
 *
 * Return: 0 or QC_USAGE.
 */
int cmd_parse_output(const char *text, bool *json);

/**
 * cmd_check_one_image() - whether one argument is left behind the options
 * @name: of the command
 * @argc: of its arguments
 *
 * Return: 0 or QC_USAGE.
 */
int cmd_check_one_image(const char *name, int argc);

/* image.c */

/**
 * cmd_parse_format() - the argument of -f: the format that an image has to have
 * @text: the argument; has to stay valid
 * @format: result
 *
 * Return: 0 or QC_USAGE.
 */
int cmd_parse_format(const char *text, const char **format);

/**
 * cmd_check_format() - whether an image has the format that the user named
 * @what: image or device
 * @format: from cmd_parse_format(), or NULL: any
 *
 * Return: 0; QC_USAGE: another one; as attached_path() and policy_open_named(). That it is an image
 * at all is for the command to find out.
 */
int cmd_check_format(const char *what, const char *format);

/**
 * cmd_note_writer() - warn of a device or of a process that writes to an image which is shown
 * @img: the image, open
 */
void cmd_note_writer(const struct image *img);

#endif /* QCOWCTL_CMD_H */
