// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl: picks the command. Everything a command does is in its own file.
 */
#include "qcowctl.h"

static const struct qc_command *const commands[] = {
	&qc_attach, &qc_detach, &qc_list, &qc_info, &qc_map, &qc_create, &qc_check,
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

int qc_usage(const struct qc_command *cmd)
{
	qc_hint("qcowctl %s --help", cmd->name);
	return QC_USAGE;
}

int qc_help(const struct qc_command *cmd)
{
	fputs(cmd->help, stdout);
	return QC_OK;
}

/* A full disk under a redirected stdout is a failure of the command. */
static int finish(int code)
{
	if (fflush(stdout) || ferror(stdout))
		return qc_fail(code ? code : QC_SYSTEM, NULL, "cannot write the output");
	return code;
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2) {
		print_usage(stderr);
		return QC_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_usage(stdout);
		return finish(QC_OK);
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		puts("qcowctl " QCOWCTL_VERSION);
		return finish(QC_OK);
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i]->name))
			return finish(commands[i]->run(commands[i], argc - 1, argv + 1));

	qc_fail(QC_USAGE, argv[1], "no such command");
	qc_hint("qcowctl --help");
	return QC_USAGE;
}
