// SPDX-License-Identifier: GPL-2.0
/*
 * qcowctl monitor: what happens to devices, as it does.
 */
#include <errno.h>
#include <getopt.h>

#include <json-c/json.h>

#include "cmd/cmd.h"
#include "driver/driver.h"

static const char help[] =
	"Usage: qcowctl monitor [OPTION]...\n"
	"Print a line for everything that happens to the block devices, as it does, until it is\n"
	"interrupted: the device, what has happened, and its size in bytes and its image afterwards.\n"
	"\n"
	"  -J, --json   a JSON object in each line\n"
	"  -h, --help   this text\n"
	"\n"
	"Events:\n"
	"  attach, detach                                 the device has come, or is gone\n"
	"  resize, read-only, read-write                  it is so now\n"
	"  overlay, commit, stream, rebase, snapshot,     what has been done to its image\n"
	"  compact\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'J' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/**
 * struct monitor_args - the command line
 */
struct monitor_args {
	bool json, help;
};

static int parse_args(struct monitor_args *a, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "Jh", options, NULL)) != -1) {
		switch (opt) {
		case 'J':
			a->json = true;
			break;
		case 'h':
			a->help = true;
			break;
		default:
			return QC_USAGE;
		}
	}
	if (argc != optind)
		return qc_fail(QC_USAGE, "monitor", "no arguments are wanted, %d given",
			       argc - optind);
	return 0;
}

/**
 * struct news - an event, with what the device is by now
 * @event: what has happened
 * @device: name of its node
 * @image: path, or NULL: the device is gone
 * @bytes: its size
 */
struct news {
	const struct event *event;
	char *device;
	char *image;
	u64 bytes;
};

static bool put_json(const struct news *n)
{
	struct json_object *obj = json_object_new_object();
	bool good;

	json_object_object_add(obj, "device", json_object_new_string(n->device));
	json_object_object_add(obj, "event", json_object_new_string(n->event->name));
	if (n->image) {
		json_object_object_add(obj, "size", json_object_new_uint64(n->bytes));
		json_object_object_add(obj, "image", json_object_new_string(n->image));
	}
	good = qc_put_json(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(obj);
	return good;
}

static bool put_line(const struct news *n)
{
	char *image = n->image ? qc_printable(n->image) : NULL;
	int ret;

	if (image)
		ret = printf("%s %s %llu %s\n", n->device, n->event->name, n->bytes, image);
	else
		ret = printf("%s %s\n", n->device, n->event->name);
	free(image);
	return ret >= 0;
}

static int print_event(const struct event *event, bool json)
{
	struct news n = {
		.event = event,
		.device = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", event->index),
	};
	bool good;
	u64 sectors;

	/* One that is being detached still has its attributes. */
	if (strcmp(event->name, "detach") &&
	    sysfs_read_u64("", event->index, "size", &sectors)) {
		n.bytes = sectors * 512;
		n.image = sysfs_read("", event->index, "qcow/image");
	}
	good = json ? put_json(&n) : put_line(&n);
	free(n.image);
	free(n.device);
	if (!good || fflush(stdout))
		return qc_fail_errno(QC_SYSTEM, errno, "monitor", "cannot print");
	return 0;
}

static int monitor(bool json)
{
	struct events *events = events_open();
	struct event event;
	int err = events ? 0 : QC_SYSTEM;

	while (!err) {
		err = events_next(events, &event);
		if (!err) {
			err = print_event(&event, json);
			free(event.name);
		}
	}
	if (events)
		events_close(events);
	return err;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct monitor_args a = { 0 };
	int err = parse_args(&a, argc, argv);

	if (err)
		return cmd_usage(cmd);
	return a.help ? cmd_help(cmd) : monitor(a.json);
}

const struct command cmd_monitor = {
	.name = "monitor",
	.summary = "show what happens to the block devices",
	.help = help,
	.run = run,
};
