// SPDX-License-Identifier: GPL-2.0
/*
 * The volume key in a file of its own: what a key that a machine's hardware keeps is made of.
 * Writes nothing to the image, takes no lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "crypt/crypt.h"
#include "crypt/keyslots.h"

static int write_key(const struct volume_key *key, int fd, const char *name)
{
	ssize_t done = write(fd, key->bytes, key->len);

	if (done == (ssize_t)key->len)
		return 0;
	return qc_fail_errno(QC_SYSTEM, done < 0 ? errno : ENOSPC, name,
			     "cannot write the volume key");
}

static int write_file(const struct volume_key *key, const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return qc_fail_errno(errno == EEXIST ? QC_USAGE : QC_SYSTEM, errno, name,
				     "cannot create a file for the volume key");
	err = write_key(key, fd, name);
	if (close(fd) && !err)
		err = qc_fail_errno(QC_SYSTEM, errno, name, "cannot write the volume key");
	if (err)
		unlink(name);
	return err;
}

static int write_new_file(const struct volume_key *key, const char *name)
{
	sigset_t before;
	int err;

	qc_hold_signals(&before);
	err = write_file(key, name);
	qc_release_signals(&before);
	return err;
}

int key_export(const char *image, const char *key_file, const char *file)
{
	const struct chain_options opts = { .top_only = true, .no_data = true };
	struct volume_key key = { 0 };
	struct passphrase p = { 0 };
	struct chain chain;
	int err;

	err = chain_open(&chain, image, &opts);
	if (!err && !image_is_encrypted(&chain.images[0]))
		err = qc_fail(QC_UNSUPPORTED, image, "is not encrypted");
	if (!err)
		err = passphrase_read(&p, key_file, image);
	if (!err)
		err = volume_key_open(&key, &chain.images[0], &p);
	if (!err)
		err = strcmp(file, "-") ? write_new_file(&key, file) :
					  write_key(&key, STDOUT_FILENO, "standard output");
	volume_key_free(&key);
	passphrase_free(&p);
	chain_close(&chain);
	return err;
}
