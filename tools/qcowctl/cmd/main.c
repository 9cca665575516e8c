// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl: finds the command that the user named.
 */
#include <getopt.h>

#include <qcow/version.h>

#include "cmd/cmd.h"

static const struct command *const commands[] = {
	&cmd_attach, &cmd_detach, &cmd_mount, &cmd_list, &cmd_info, &cmd_map, &cmd_create,
	&cmd_check, &cmd_snapshot, &cmd_bitmap, &cmd_key, &cmd_overlay, &cmd_fork, &cmd_rename,
	&cmd_rebase, &cmd_stream, &cmd_commit, &cmd_resize, &cmd_compact, &cmd_set, &cmd_job,
	&cmd_stat, &cmd_monitor, &cmd_doctor,
};

static void print_usage(FILE *out)
{
	size_t i;

	fputs("Usage: qcowctl COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Make QCOW images block devices, and look at them.\n"
	      "\n"
	      "Commands:\n", out);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "Options:\n"
	      "  -h, --help     this text; after a command: its own\n"
	      "  -V, --version  version\n"
	      "\n"
	      "More in qcowctl(8).\n", out);
}

int cmd_usage(const struct command *cmd)
{
	qc_hint("qcowctl %s --help", cmd->name);
	return QC_USAGE;
}

int cmd_help(const struct command *cmd)
{
	fputs(cmd->help, stdout);
	return QC_OK;
}

int cmd_parse_output(const char *text, bool *json)
{
	*json = !strcmp(text, "json");
	if (!*json && strcmp(text, "human"))
		return qc_fail(QC_USAGE, "--output", "'%s' is neither human nor json", text);
	return 0;
}

int cmd_check_one_image(const char *name, int argc)
{
	if (argc - optind == 1)
		return 0;
	return qc_fail(QC_USAGE, name, "one image is wanted, %d given", argc - optind);
}

/* A redirected stdout on a full disk is an error of the command. */
static int finish(int code)
{
	if (fflush(stdout) || ferror(stdout))
		return qc_fail(code ? code : QC_SYSTEM, NULL, "cannot write the output");
	return code;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	int code;

	/* What getopt() begins its messages with. */
	argv[0] = qc_printf("qcowctl: %s", cmd->name);
	code = cmd->run(cmd, argc, argv);
	free(argv[0]);
	return finish(code);
}

/* mount(8) and umount(8) look for programs by the type: other names of this one. */
static int (*find_helper(const char *program))(int argc, char **argv)
{
	const char *name = strrchr(program, '/');

	name = name ? name + 1 : program;
	if (!strcmp(name, "mount.qcow2") || !strcmp(name, "mount.qcow"))
		return cmd_mount_helper;
	return strcmp(name, "umount.qcow2") ? NULL : cmd_umount_helper;
}

int main(int argc, char **argv)
{
	int (*helper)(int argc, char **argv) = find_helper(argc ? argv[0] : "");
	size_t i;

	if (helper)
		return finish(helper(argc, argv));
	if (argc < 2) {
		print_usage(stderr);
		return QC_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return finish(QC_OK);
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("qcowctl " QCOW_VERSION);
		return finish(QC_OK);
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i]->name))
			return run(commands[i], argc - 1, argv + 1);

	qc_fail(QC_USAGE, argv[1], "no such command");
	qc_hint("qcowctl --help");
	return QC_USAGE;
}
