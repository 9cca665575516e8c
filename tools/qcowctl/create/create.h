/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes new images, with the options of qemu-img.
 */
#ifndef QCOWCTL_CREATE_H
#define QCOWCTL_CREATE_H

#include <stdbool.h>
#include <sys/stat.h>

struct passphrase;

/**
 * enum create_opt - options with qemu-img's names, in the order of the help
 */
enum create_opt {
	OPT_SIZE,
	OPT_BACKING_FILE,
	OPT_BACKING_FMT,
	OPT_COMPAT,
	OPT_NOCOW,
	OPT_CLUSTER_SIZE,
	OPT_REFCOUNT_BITS,
	OPT_LAZY_REFCOUNTS,
	OPT_EXTENDED_L2,
	OPT_COMPRESSION_TYPE,
	OPT_DATA_FILE,
	OPT_DATA_FILE_RAW,
	OPT_PREALLOCATION,
	OPT_ENCRYPT_FORMAT,
	OPT_ENCRYPT_CIPHER_ALG,
	OPT_ENCRYPT_CIPHER_MODE,
	OPT_ENCRYPT_IVGEN_ALG,
	OPT_ENCRYPT_IVGEN_HASH_ALG,
	OPT_ENCRYPT_HASH_ALG,
	OPT_ENCRYPT_ITER_TIME,
	CREATE_NR_OPTS,
};

/**
 * struct create_options - options as the user typed them
 * @value: each or NULL; allocated
 * @format: format of the new image, "qcow" or "qcow2", or NULL
 * @key_file: where the passphrase of a new key slot is from, as passphrase_read_new()
 * @passphrase: or the passphrase itself, or NULL
 * @force: replace what is there
 * @exclusive: nothing may be there, not even an empty file or a device
 * @like: a file whose owner and mode a new file gets before it has its name, or NULL
 */
struct create_options {
	char *value[CREATE_NR_OPTS];
	const char *format;
	const char *key_file;
	const struct passphrase *passphrase;
	bool force;
	bool exclusive;
	const struct stat *like;
};

/**
 * create_options_set() - set one option
 * @opts: the options
 * @opt: which
 * @value: replaces an earlier one; copied
 */
void create_options_set(struct create_options *opts, enum create_opt opt, const char *value);

/**
 * create_options_parse() - set options from a list (-o)
 * @opts: the options
 * @list: "name=value,name=value"; a comma in a value is doubled
 * @help: set to true when "help" is in the list
 *
 * Return: 0, QC_USAGE or QC_UNSUPPORTED after a message.
 */
int create_options_parse(struct create_options *opts, const char *list, bool *help);

/**
 * create_options_free() - free the values
 * @opts: the options
 */
void create_options_free(struct create_options *opts);

/**
 * create_options_print() - print the names that create_options_parse() knows, to stdout
 */
void create_options_print(void);

/**
 * create_image() - make an image and, with an external data file, that file
 * @name: of the image; a file of that name is replaced when it is complete
 * @opts: the options
 * @unsafe: do not open the backing file; the options have to state the size
 * @made: NULL, or result: a descriptor of the image, for the caller to close, or -1. While it is
 *        open no other file is the same
 *
 * May block. Return: enum qc_exit, after a message; files that are new are not there then.
 */
int create_image(const char *name, const struct create_options *opts, bool unsafe, int *made);

#endif /* QCOWCTL_CREATE_H */
