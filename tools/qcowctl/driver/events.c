// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel tells of devices: uevents, straight from it, so that no daemon has to run.
 */
#include <errno.h>
#include <poll.h>

#include <libudev.h>

#include "driver/driver.h"

/* As much as many devices at a time bring; a user other than root gets less. */
#define RECEIVE_BYTES	(16 << 20)

struct events {
	struct udev *udev;
	struct udev_monitor *monitor;
};

struct events *events_open(void)
{
	struct events *events = qc_alloc(sizeof(*events));

	events->udev = udev_new();
	if (events->udev)
		events->monitor = udev_monitor_new_from_netlink(events->udev, "kernel");
	if (events->monitor) {
		udev_monitor_set_receive_buffer_size(events->monitor, RECEIVE_BYTES);
		udev_monitor_filter_add_match_subsystem_devtype(events->monitor, "block", "disk");
		if (udev_monitor_enable_receiving(events->monitor) >= 0)
			return events;
	}
	qc_fail_errno(QC_SYSTEM, errno, NULL, "cannot listen to events of the kernel");
	events_close(events);
	return NULL;
}

void events_close(struct events *events)
{
	udev_monitor_unref(events->monitor);
	udev_unref(events->udev);
	free(events);
}

static const char *change_name(struct udev_device *dev)
{
	const char *name = udev_device_get_property_value(dev, "QCOW_EVENT");
	const char *ro = udev_device_get_property_value(dev, "DISK_RO");

	if (name)
		return name;
	if (ro)
		return *ro == '1' ? "read-only" : "read-write";
	return udev_device_get_property_value(dev, "RESIZE") ? "resize" : NULL;
}

/* NULL: nothing that is told of. */
static const char *event_name(struct udev_device *dev)
{
	const char *action = udev_device_get_action(dev);

	/* Written to a file uevent: nothing has happened. */
	if (udev_device_get_property_value(dev, "SYNTH_UUID"))
		return NULL;
	if (!strcmp(action, "add"))
		return "attach";
	if (!strcmp(action, "remove"))
		return "detach";
	return strcmp(action, "change") ? NULL : change_name(dev);
}

static bool event_of(struct udev_device *dev, struct event *event)
{
	const char *name;

	if (!sysfs_parse_name(udev_device_get_sysname(dev), &event->index))
		return false;
	name = event_name(dev);
	if (name)
		event->name = qc_strdup(name);
	return name;
}

int events_next(struct events *events, struct event *event)
{
	struct pollfd poll_fd = { .fd = udev_monitor_get_fd(events->monitor), .events = POLLIN };
	bool found = false;

	while (!found) {
		struct udev_device *dev;

		if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
			return qc_fail_errno(QC_SYSTEM, errno, NULL, "cannot wait for events");
		errno = 0;
		dev = udev_monitor_receive_device(events->monitor);
		if (dev)
			found = event_of(dev, event);
		else if (errno == ENOBUFS)
			qc_warn("monitor", "events have been lost");
		udev_device_unref(dev);
	}
	return 0;
}
