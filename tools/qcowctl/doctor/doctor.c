// SPDX-License-Identifier: GPL-2.0
/*
 * The parts that have to be there: a kernel, the module for it, its signature where one is asked
 * for, the control node and the right to open it, the rules of udev, the helper of mount(8).
 */
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <qcow/version.h>
#include <uapi/linux/qcow.h>

#include "doctor/doctor.h"
#include "driver/driver.h"

#define SECURE_BOOT "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

/**
 * enum finding - what is found out about a part
 * @FINE: it is there
 * @WANTING: something does not work, images can be attached
 * @MISSING: they cannot
 */
enum finding {
	FINE,
	WANTING,
	MISSING,
};

/**
 * struct examination - how far it is
 * @root: directory that stands for /, or ""
 * @release: of the running kernel
 * @worst: that has been found
 */
struct examination {
	const char *root;
	const char *release;
	enum finding worst;
};

/* @text: allocated; what is found. @help: allocated, or NULL. Both are freed. */
static void tell(struct examination *e, enum finding what, const char *part, char *text,
		 char *help)
{
	static const char *const words[] = { "ok", "wanting", "missing" };

	printf("%-8s %-10s %s\n", words[what], part, text);
	if (help)
		printf("%-8s %-10s try: %s\n", "", "", help);
	if (what > e->worst)
		e->worst = what;
	free(text);
	free(help);
}

static bool is_there(const struct examination *e, const char *path)
{
	char *name = qc_printf("%s/%s", e->root, path);
	bool there = !access(name, F_OK);

	free(name);
	return there;
}

static char *read_line(const struct examination *e, const char *path)
{
	char *name = qc_printf("%s/%s", e->root, path), *text = sysfs_read_file(name);

	free(name);
	return text;
}

static void examine_kernel(struct examination *e)
{
	unsigned int version, patch;

	if (sscanf(e->release, "%u.%u", &version, &patch) == 2 &&
	    (version > 6 || (version == 6 && patch >= 1)))
		tell(e, FINE, "kernel", qc_strdup(e->release), NULL);
	else
		tell(e, MISSING, "kernel",
		     qc_printf("%s: Linux 6.1 or later is needed", e->release), NULL);
}

/* Whether the kernel takes signed modules alone. */
static bool is_enforced(const struct examination *e)
{
	char *enforce = read_line(e, "sys/module/module/parameters/sig_enforce");
	char *lockdown = read_line(e, "sys/kernel/security/lockdown");
	bool enforced = (enforce && *enforce == 'Y') || (lockdown && !strstr(lockdown, "[none]"));

	free(lockdown);
	free(enforce);
	return enforced;
}

/* The variable has four bytes of attributes in front. */
static bool is_secure_boot(const struct examination *e)
{
	char *name = qc_printf("%s/" SECURE_BOOT, e->root);
	unsigned char bytes[5] = { 0 };
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	bool on = fd >= 0 && read(fd, bytes, sizeof(bytes)) == sizeof(bytes) && bytes[4];

	if (fd >= 0)
		close(fd);
	free(name);
	return on;
}

static void examine_signature(struct examination *e, const struct module_file *file)
{
	const char *boot = is_secure_boot(e) ? ", with Secure Boot" : "";

	if (!is_enforced(e))
		tell(e, FINE, "signature", qc_printf("none is asked for%s", boot), NULL);
	else if (!file->signer)
		tell(e, MISSING, "signature",
		     qc_printf("the module has none, and this kernel takes no other%s", boot),
		     qc_strdup("the package qcow-dkms: DKMS signs what it builds"));
	else
		tell(e, WANTING, "signature",
		     qc_printf("by '%s', whom the kernel has to know%s", file->signer, boot),
		     qc_strdup("mokutil --test-key /var/lib/dkms/mok.pub, and --import it"));
}

static void examine_absent_module(struct examination *e)
{
	char *headers = qc_printf("lib/modules/%s/build", e->release);
	char *help = is_there(e, headers) ?
		     qc_printf("apt-get install qcow-dkms, or dkms autoinstall -k %s", e->release) :
		     qc_printf("apt-get install linux-headers-%s, and then qcow-dkms", e->release);

	tell(e, MISSING, "module", qc_printf("not installed for %s", e->release), help);
	free(headers);
}

static void examine_module(struct examination *e)
{
	char *loaded = read_line(e, "sys/module/qcow/version");
	struct module_file file;

	if (is_there(e, "sys/module/qcow")) {
		if (loaded && !strcmp(loaded, QCOW_VERSION))
			tell(e, FINE, "module", qc_printf("loaded, version %s", loaded), NULL);
		else
			tell(e, WANTING, "module",
			     qc_printf("version %s is loaded, this is qcowctl " QCOW_VERSION,
				       loaded ? loaded : "unknown"),
			     qc_strdup("qcowctl detach --all; modprobe -r qcow"));
	} else if (module_find(e->root, e->release, &file)) {
		tell(e, FINE, "module", qc_printf("%s, version %s: attach loads it", file.path,
						  file.version ? file.version : "unknown"), NULL);
		examine_signature(e, &file);
		module_file_free(&file);
	} else {
		examine_absent_module(e);
	}
	free(loaded);
}

static void examine_node(struct examination *e)
{
	char *node = qc_printf("%s/dev/" QCOW_CONTROL_NODE, e->root);

	if (!access(node, R_OK | W_OK))
		tell(e, FINE, "node", qc_strdup("/dev/" QCOW_CONTROL_NODE), NULL);
	else if (!access(node, F_OK))
		tell(e, WANTING, "node",
		     qc_strdup("/dev/" QCOW_CONTROL_NODE ": this user may not open it"),
		     qc_strdup("attach as root"));
	else if (is_there(e, "sys/module/qcow"))
		tell(e, MISSING, "node",
		     qc_strdup("/dev/" QCOW_CONTROL_NODE ": not there, but the module is"),
		     qc_strdup("mount -t devtmpfs none /dev"));
	free(node);
}

static void examine_udev(struct examination *e)
{
	static const char *const dirs[] = {
		"etc/udev", "run/udev", "usr/local/lib/udev", "usr/lib/udev", "lib/udev",
	};
	size_t i;

	if (!is_there(e, "run/udev/control")) {
		tell(e, FINE, "udev", qc_strdup("does not run: there are no links in /dev/disk"),
		     NULL);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		char *rules = qc_printf("%s/rules.d/60-qcow.rules", dirs[i]);
		bool there = is_there(e, rules);

		if (there)
			tell(e, FINE, "udev", qc_printf("/%s", rules), NULL);
		free(rules);
		if (there)
			return;
	}
	tell(e, WANTING, "udev",
	     qc_strdup("no rules: no links in /dev/disk, and a guest's LVM may come up"),
	     qc_strdup("make install, or the package qcowctl"));
}

static void examine_mount(struct examination *e)
{
	if (is_there(e, "sbin/mount.qcow2"))
		tell(e, FINE, "mount", qc_strdup("/sbin/mount.qcow2"), NULL);
	else
		tell(e, WANTING, "mount", qc_strdup("no /sbin/mount.qcow2: mount -t qcow2 fails"),
		     qc_strdup("make install, or the package qcowctl"));
}

int doctor(const char *root)
{
	struct examination e = { .root = root };
	struct utsname name;

	uname(&name);
	e.release = name.release;
	examine_kernel(&e);
	examine_module(&e);
	examine_node(&e);
	examine_udev(&e);
	examine_mount(&e);
	return e.worst == MISSING ? QC_NO_DRIVER : 0;
}
