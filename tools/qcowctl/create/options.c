// SPDX-License-Identifier: GPL-2.0
/*
 * The options: from text to numbers, and which of them exclude each other. Opens no file.
 */
#include <qcow/ondisk.h>

#include "create/internal.h"
#include "image/image.h"

/**
 * struct option_rule - one option
 * @name: as qemu-img has it
 * @help: for -o help
 * @v1: version 1 has the option
 * @is_bool: the name without a value means on
 */
static const struct option_rule {
	const char *name;
	const char *help;
	bool v1;
	bool is_bool;
} rules[CREATE_NR_OPTS] = {
	[OPT_SIZE] = {
		.name = "size", .help = "virtual size", .v1 = true,
	},
	[OPT_BACKING_FILE] = {
		.name = "backing_file", .help = "name of the backing file", .v1 = true,
	},
	[OPT_BACKING_FMT] = {
		.name = "backing_fmt", .help = "its format: raw, qcow or qcow2", .v1 = true,
	},
	[OPT_COMPAT] = {
		.name = "compat", .help = "v1, v2 (0.10) or v3 (1.1, default)", .v1 = true,
	},
	[OPT_NOCOW] = {
		.name = "nocow", .help = "on or off: btrfs overwrites the file in place",
		.v1 = true, .is_bool = true,
	},
	[OPT_CLUSTER_SIZE] = {
		.name = "cluster_size", .help = "512 to 2M, default 64K",
	},
	[OPT_REFCOUNT_BITS] = {
		.name = "refcount_bits", .help = "1, 2, 4, 8, 16 (default), 32 or 64",
	},
	[OPT_LAZY_REFCOUNTS] = {
		.name = "lazy_refcounts", .help = "on or off: postpone refcount updates",
		.is_bool = true,
	},
	[OPT_EXTENDED_L2] = {
		.name = "extended_l2", .help = "on or off: allocation in subclusters",
		.is_bool = true,
	},
	[OPT_COMPRESSION_TYPE] = {
		.name = "compression_type", .help = "zlib (default) or zstd",
	},
	[OPT_DATA_FILE] = {
		.name = "data_file", .help = "name of an external file for the data",
	},
	[OPT_DATA_FILE_RAW] = {
		.name = "data_file_raw", .help = "on or off: that file is a raw image by itself",
		.is_bool = true,
	},
	[OPT_PREALLOCATION] = {
		.name = "preallocation", .help = "off (default), metadata, falloc or full",
	},
	[OPT_ENCRYPT_FORMAT] = {
		.name = "encrypt.format", .help = "luks, or aes: weak, the passphrase is the key",
		.v1 = true,
	},
	[OPT_ENCRYPT_CIPHER_ALG] = {
		.name = "encrypt.cipher-alg",
		.help = "aes-256 (default), aes-128, serpent-256, twofish-256, ...",
	},
	[OPT_ENCRYPT_CIPHER_MODE] = {
		.name = "encrypt.cipher-mode", .help = "xts (default) or cbc",
	},
	[OPT_ENCRYPT_IVGEN_ALG] = {
		.name = "encrypt.ivgen-alg", .help = "plain64 (default), plain or essiv",
	},
	[OPT_ENCRYPT_IVGEN_HASH_ALG] = {
		.name = "encrypt.ivgen-hash-alg", .help = "of essiv, sha256 by default",
	},
	[OPT_ENCRYPT_HASH_ALG] = {
		.name = "encrypt.hash-alg", .help = "sha256 (default), sha512, ...",
	},
	[OPT_ENCRYPT_ITER_TIME] = {
		.name = "encrypt.iter-time", .help = "milliseconds, default 2000",
	},
};

void create_options_print(void)
{
	size_t i;

	puts("Options of -o, as qemu-img has them; version 1 has the first five only, and\n"
	     "encrypt.format=aes:");
	for (i = 0; i < CREATE_NR_OPTS; i++)
		printf("  %-22s %s\n", rules[i].name, rules[i].help);
}

void create_options_set(struct create_options *opts, enum create_opt opt, const char *value)
{
	free(opts->value[opt]);
	opts->value[opt] = qc_strdup(value);
}

void create_options_free(struct create_options *opts)
{
	size_t i;

	for (i = 0; i < CREATE_NR_OPTS; i++)
		free(opts->value[i]);
}

static int set_named(struct create_options *opts, const char *item, bool *help)
{
	size_t len = strcspn(item, "=");
	enum create_opt opt;

	if (!strcmp(item, "help") || !strcmp(item, "?")) {
		*help = true;
		return 0;
	}
	for (opt = 0; opt < CREATE_NR_OPTS; opt++)
		if (strlen(rules[opt].name) == len && !strncmp(rules[opt].name, item, len))
			break;
	if (opt == CREATE_NR_OPTS) {
		if (!strncmp(item, "encrypt.key-secret=", len + 1)) {
			qc_fail(0, "-o", "'%s': QEMU's secrets are not known", item);
			qc_hint("--key-file FILE");
			return QC_USAGE;
		}
		return qc_fail(QC_USAGE, "-o", "'%s': no such option", item);
	}
	if (item[len]) {
		create_options_set(opts, opt, item + len + 1);
		return 0;
	}
	if (!rules[opt].is_bool)
		return qc_fail(QC_USAGE, "-o", "'%s' needs a value", item);
	create_options_set(opts, opt, "on");
	return 0;
}

int create_options_parse(struct create_options *opts, const char *list, bool *help)
{
	char *item = qc_alloc(strlen(list) + 1);
	int err = 0;

	while (*list && !err) {
		size_t len = 0;

		while (*list && (*list != ',' || list[1] == ',')) {
			if (*list == ',')
				list++;
			item[len++] = *list++;
		}
		item[len] = '\0';
		list += *list == ',';
		err = set_named(opts, item, help);
	}
	free(item);
	return err;
}

static int parse_bool(const struct create_options *opts, enum create_opt opt, bool *value)
{
	static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "n", "y" };
	size_t i;

	if (!opts->value[opt])
		return 0;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (!strcmp(opts->value[opt], words[i])) {
			*value = i & 1;
			return 0;
		}
	}
	return qc_fail(QC_USAGE, rules[opt].name, "'%s' is neither on nor off", opts->value[opt]);
}

/* The index in @words. */
static int parse_word(const struct create_options *opts, enum create_opt opt,
		      const char *const *words, u32 nr, u32 *value)
{
	u32 i;

	if (!opts->value[opt])
		return 0;
	for (i = 0; i < nr; i++) {
		if (!strcmp(opts->value[opt], words[i])) {
			*value = i;
			return 0;
		}
	}
	return qc_fail(QC_USAGE, rules[opt].name, "'%s' is none of: %s", opts->value[opt],
		       rules[opt].help);
}

/* log2 of the number, which is a power of two up to 1 << @max_bits. */
static int parse_power(const struct create_options *opts, enum create_opt opt, u32 min_bits,
		       u32 max_bits, u32 *bits)
{
	u64 number;
	int err;

	if (!opts->value[opt])
		return 0;
	err = qc_parse_size(rules[opt].name, opts->value[opt], &number);
	if (err)
		return err;
	for (*bits = min_bits; *bits <= max_bits; ++*bits)
		if (number == BIT_ULL(*bits))
			return 0;
	return qc_fail(QC_USAGE, rules[opt].name, "'%s' is no power of two from %llu to %llu",
		       opts->value[opt], BIT_ULL(min_bits), BIT_ULL(max_bits));
}

static int parse_version(const struct create_options *opts, struct create_spec *spec)
{
	static const char *const compat[] = { "v1", "v2", "v3", "0.10", "1.1" };
	static const u32 versions[] = { 1, 2, 3, 2, 3 };
	u32 which = 2;
	int err;

	if (opts->format && strcmp(opts->format, "qcow") && strcmp(opts->format, "qcow2"))
		return qc_fail(QC_USAGE, "--format", "'%s' is neither qcow nor qcow2",
			       opts->format);
	err = parse_word(opts, OPT_COMPAT, compat, ARRAY_SIZE(compat), &which);
	if (err)
		return err;
	spec->version = versions[which];
	if (!opts->format)
		return 0;
	if (!opts->value[OPT_COMPAT]) {
		if (!strcmp(opts->format, "qcow"))
			spec->version = 1;
		return 0;
	}
	if (!strcmp(opts->format, spec->version == 1 ? "qcow" : "qcow2"))
		return 0;
	return qc_fail(QC_USAGE, "compat", "'%s' is not of the format '%s'",
		       opts->value[OPT_COMPAT], opts->format);
}

static int parse_size(const struct create_options *opts, struct create_spec *spec)
{
	const char *size = opts->value[OPT_SIZE];
	int err;

	if (!size)
		return 0;
	err = qc_parse_size(rules[OPT_SIZE].name, size, &spec->size);
	if (err)
		return err;
	if (spec->size > (u64)S64_MAX - 511)
		return qc_fail(QC_USAGE, "size", "'%s' is too large", size);
	spec->size = round_up(spec->size, 512);
	spec->has_size = true;
	return 0;
}

static int parse_numbers(const struct create_options *opts, struct create_spec *spec)
{
	static const char *const compressions[] = { "zlib", "zstd" };
	static const char *const preallocations[] = { "off", "metadata", "falloc", "full" };
	u32 preallocation = PREALLOC_OFF;
	int err;

	spec->cluster_bits = 16;
	spec->refcount_order = 4;
	err = parse_size(opts, spec);
	if (!err)
		err = parse_power(opts, OPT_CLUSTER_SIZE, QCOW_MIN_CLUSTER_BITS,
				  QCOW_MAX_CLUSTER_BITS, &spec->cluster_bits);
	if (!err)
		err = parse_power(opts, OPT_REFCOUNT_BITS, 0, QCOW_MAX_REFCOUNT_ORDER,
				  &spec->refcount_order);
	if (!err)
		err = parse_bool(opts, OPT_NOCOW, &spec->nocow);
	if (!err)
		err = parse_bool(opts, OPT_LAZY_REFCOUNTS, &spec->lazy_refcounts);
	if (!err)
		err = parse_bool(opts, OPT_EXTENDED_L2, &spec->extended_l2);
	if (!err)
		err = parse_bool(opts, OPT_DATA_FILE_RAW, &spec->data_file_raw);
	if (!err)
		err = parse_word(opts, OPT_COMPRESSION_TYPE, compressions,
				 ARRAY_SIZE(compressions), &spec->compression_type);
	if (!err)
		err = parse_word(opts, OPT_PREALLOCATION, preallocations,
				 ARRAY_SIZE(preallocations), &preallocation);
	spec->preallocation = preallocation;
	return err;
}

/* Refuse what the version has no field for; default values need no field. */
static int check_version(const struct create_options *opts, const struct create_spec *spec)
{
	const struct {
		enum create_opt opt;
		bool wanted;
	} new[] = {
		{ OPT_REFCOUNT_BITS, spec->refcount_order != 4 },
		{ OPT_LAZY_REFCOUNTS, spec->lazy_refcounts },
		{ OPT_EXTENDED_L2, spec->extended_l2 },
		{ OPT_COMPRESSION_TYPE, spec->compression_type != QCOW_COMPRESSION_ZLIB },
		{ OPT_DATA_FILE, spec->data_file },
	};
	size_t i;

	for (i = 0; i < CREATE_NR_OPTS && spec->version == 1; i++)
		if (opts->value[i] && !rules[i].v1)
			return qc_fail(QC_USAGE, rules[i].name,
				       "'%s': version 1 has no such option", opts->value[i]);
	for (i = 0; i < ARRAY_SIZE(new) && spec->version == 2; i++)
		if (new[i].wanted)
			return qc_fail(QC_USAGE, rules[new[i].opt].name,
				       "'%s' needs compat=1.1, version 2 has no place for it",
				       opts->value[new[i].opt]);
	return 0;
}

static int check_backing(const struct create_options *opts, const struct create_spec *spec)
{
	const char *format = spec->backing_format;

	if (!spec->backing) {
		if (!format)
			return 0;
		return qc_fail(QC_USAGE, "backing_fmt", "'%s' without a backing file", format);
	}
	if (!*spec->backing)
		return qc_fail(QC_USAGE, "backing_file", "the name is empty");
	if (!format) {
		qc_fail(0, "backing_file",
			"the format of '%s' is not stated, and it is not guessed", spec->backing);
		qc_hint("-F raw|qcow|qcow2");
		return QC_USAGE;
	}
	if (strcmp(format, "raw") && strcmp(format, "qcow") && strcmp(format, "qcow2"))
		return qc_fail(QC_USAGE, "backing_fmt", "'%s' is none of raw, qcow, qcow2", format);
	if (spec->preallocation != PREALLOC_OFF && !spec->extended_l2)
		return qc_fail(QC_USAGE, "preallocation",
			       "'%s' would hide the backing file '%s', but for extended_l2=on",
			       opts->value[OPT_PREALLOCATION], spec->backing);
	if (spec->data_file_raw)
		return qc_fail(QC_USAGE, "data_file_raw", "'%s' with the backing file '%s'",
			       opts->value[OPT_DATA_FILE_RAW], spec->backing);
	return 0;
}

static int check_together(const struct create_options *opts, struct create_spec *spec)
{
	if (spec->data_file_raw && !spec->data_file)
		return qc_fail(QC_USAGE, "data_file_raw", "'%s' without data_file",
			       opts->value[OPT_DATA_FILE_RAW]);
	if (spec->data_file && !*spec->data_file)
		return qc_fail(QC_USAGE, "data_file", "the name is empty");
	if (spec->data_file && path_has_protocol(spec->data_file) &&
	    strncmp(spec->data_file, "file:/", 6))
		return qc_fail(QC_POLICY, "data_file", "'%s' has a protocol, only files are opened",
			       spec->data_file);
	if (spec->extended_l2 && spec->cluster_bits < QCOW_EXTENDED_L2_MIN_CLUSTER_BITS)
		return qc_fail(QC_USAGE, "extended_l2",
			       "'%s' needs a cluster_size of at least %u, it is %u",
			       opts->value[OPT_EXTENDED_L2],
			       1U << QCOW_EXTENDED_L2_MIN_CLUSTER_BITS, 1U << spec->cluster_bits);
	return 0;
}

/* What only LUKS has. */
static int check_luks(const struct create_options *opts)
{
	const char *format = opts->value[OPT_ENCRYPT_FORMAT];
	enum create_opt opt;

	if (format && !strcmp(format, "luks"))
		return 0;
	for (opt = OPT_ENCRYPT_CIPHER_ALG; opt <= OPT_ENCRYPT_ITER_TIME; opt++)
		if (opts->value[opt])
			return qc_fail(QC_USAGE, rules[opt].name,
				       "'%s' without encrypt.format=luks", opts->value[opt]);
	if (opts->key_file)
		return qc_fail(QC_USAGE, "--key-file", "only with encrypt.format=luks");
	return 0;
}

int create_options_resolve(const struct create_options *opts, struct create_spec *spec)
{
	int err;

	memset(spec, 0, sizeof(*spec));
	spec->backing = opts->value[OPT_BACKING_FILE];
	spec->backing_format = opts->value[OPT_BACKING_FMT];
	spec->data_file = opts->value[OPT_DATA_FILE];
	err = parse_version(opts, spec);
	if (!err)
		err = parse_numbers(opts, spec);
	if (!err)
		err = check_version(opts, spec);
	if (!err)
		err = check_together(opts, spec);
	if (!err)
		err = check_backing(opts, spec);
	if (!err)
		err = check_luks(opts);
	if (!err)
		err = encrypt_resolve(opts, spec);
	if (err)
		return err;

	/* As in QEMU; small clusters copy less from a backing file. */
	if (spec->version == 1)
		spec->cluster_bits = spec->backing ? 9 : 12;
	spec->l2_bits = spec->version == 1 ? 21 - spec->cluster_bits : spec->cluster_bits - 3;
	spec->l2_bits -= spec->extended_l2;
	/* The raw file and the image have the same content only if all clusters are mapped. */
	if (spec->data_file_raw && spec->preallocation == PREALLOC_OFF)
		spec->preallocation = PREALLOC_METADATA;
	return 0;
}
