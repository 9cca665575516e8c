// SPDX-License-Identifier: GPL-2.0
/*
 * Where passphrases come from. What is read goes into memory for secrets at once: there is no
 * buffer of stdio between.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "crypt/secret.h"

#define AGENT	"systemd-ask-password"

static int read_all(struct passphrase *p, int fd, const char *name)
{
	for (;;) {
		ssize_t got = read(fd, p->bytes + p->len, PASSPHRASE_MAX_BYTES + 1 - p->len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return qc_fail_errno(QC_SYSTEM, errno, name, "cannot read the passphrase");
		if (!got)
			return 0;
		p->len += got;
		if (p->len > PASSPHRASE_MAX_BYTES)
			return qc_fail(QC_USAGE, name, "has more than %u bytes, no passphrase",
				       PASSPHRASE_MAX_BYTES);
	}
}

static int read_file(struct passphrase *p, const char *file)
{
	int fd, err;

	if (!strcmp(file, "-"))
		return read_all(p, STDIN_FILENO, "standard input");
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return qc_fail_errno(errno == ENOENT ? QC_NOT_FOUND : QC_SYSTEM, errno, file,
				     "cannot open the key file");
	err = read_all(p, fd, file);
	close(fd);
	return err;
}

/* The line feed that ends a line is none of the passphrase's. */
static void drop_line_feed(struct passphrase *p)
{
	if (p->len && p->bytes[p->len - 1] == '\n')
		p->len--;
}

/* @signals: becomes readable when one that ends the process waits. */
static ssize_t read_line(struct passphrase *p, int signals)
{
	struct pollfd inputs[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};

	if (poll(inputs, ARRAY_SIZE(inputs), -1) < 0 || inputs[1].revents)
		return -1;
	return read(STDIN_FILENO, p->bytes, PASSPHRASE_MAX_BYTES);
}

static int read_quietly(struct passphrase *p, const char *prompt, int signals)
{
	struct termios before, quiet;
	ssize_t got = -1;

	if (tcgetattr(STDIN_FILENO, &before))
		return -1;
	quiet = before;
	quiet.c_lflag &= ~ECHO;
	quiet.c_lflag |= ECHONL;
	/* A shell that goes on meanwhile would have the terminal without echo. */
	quiet.c_cc[VSUSP] = _POSIX_VDISABLE;
	if (!tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet)) {
		fprintf(stderr, "%s: ", prompt);
		got = read_line(p, signals);
	}
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	if (got <= 0)
		return -1;
	p->len = got;
	return 0;
}

static int ask_terminal(struct passphrase *p, const char *prompt)
{
	sigset_t blocked, before;
	int signals, err;

	/* While the terminal does not echo. */
	qc_hold_signals(&before);
	qc_ending_signals(&blocked);
	signals = signalfd(-1, &blocked, SFD_CLOEXEC);
	err = signals < 0 ? -1 : read_quietly(p, prompt, signals);
	if (signals >= 0)
		close(signals);
	/* Now the process ends, if that is what it was. */
	qc_release_signals(&before);
	if (err)
		return qc_fail(QC_SYSTEM, NULL, "no passphrase has been typed");
	drop_line_feed(p);
	return 0;
}

static int spawn_agent(const char *prompt, int out, pid_t *pid)
{
	char *argv[4] = { AGENT, "--id=qcowctl", (char *)prompt, NULL };
	posix_spawn_file_actions_t actions;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	err = posix_spawnp(pid, AGENT, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static int ask_agent(struct passphrase *p, const char *prompt)
{
	int fds[2], status = 0, err;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return qc_fail_errno(QC_SYSTEM, errno, AGENT, "cannot make a pipe");
	err = spawn_agent(prompt, fds[1], &pid);
	close(fds[1]);
	if (err) {
		qc_fail_errno(0, err, AGENT, "there is no terminal to ask for a passphrase");
		qc_hint("--key-file FILE");
		err = QC_SYSTEM;
	} else {
		err = read_all(p, fds[0], AGENT);
	}
	close(fds[0]);
	if (err)
		return err;
	if (waitpid(pid, &status, 0) < 0 || status)
		return qc_fail(QC_SYSTEM, AGENT, "got no passphrase");
	drop_line_feed(p);
	return 0;
}

static int ask(struct passphrase *p, const char *what, const char *image)
{
	char *name = qc_printable(image), *prompt = qc_printf("%s of %s", what, name);
	int err;

	if (isatty(STDIN_FILENO))
		err = ask_terminal(p, prompt);
	else
		err = ask_agent(p, prompt);
	free(prompt);
	free(name);
	return err;
}

static void make_room(struct passphrase *p)
{
	p->bytes = secret_alloc(PASSPHRASE_MAX_BYTES + 1);
	p->len = 0;
}

int passphrase_read(struct passphrase *p, const char *file, const char *image)
{
	make_room(p);
	return file ? read_file(p, file) : ask(p, "Passphrase", image);
}

static int ask_again(const struct passphrase *p, const char *image)
{
	struct passphrase again;
	int err;

	make_room(&again);
	err = ask(&again, "The same passphrase again", image);
	if (!err && (again.len != p->len || memcmp(again.bytes, p->bytes, p->len)))
		err = qc_fail(QC_USAGE, image, "the two passphrases are not the same");
	passphrase_free(&again);
	return err;
}

static int check_new(const struct passphrase *p, const char *image)
{
	size_t at = 0, len = 1;
	u32 code = 1;

	if (!p->len)
		return qc_fail(QC_USAGE, image, "the new passphrase is empty");
	for (; at < p->len && len && code; at += len)
		len = qc_utf8(p->bytes + at, p->len - at, &code);
	if (len && code)
		return 0;
	return qc_fail(QC_USAGE, image,
		       "the new passphrase is no text in UTF-8, QEMU could not open the image");
}

int passphrase_read_new(struct passphrase *p, const char *file, const char *image)
{
	int err;

	make_room(p);
	err = file ? read_file(p, file) : ask(p, "New passphrase", image);
	if (!err)
		err = check_new(p, image);
	if (!err && !file)
		err = ask_again(p, image);
	return err;
}

void passphrase_free(struct passphrase *p)
{
	secret_free(p->bytes);
	memset(p, 0, sizeof(*p));
}
