// SPDX-License-Identifier: GPL-2.0
/*
 * Ciphers. A cipher of the kernel takes one request for each sector. Most are done when the call
 * returns; one that works on its own gets several before it is waited for.
 */
#include <crypto/algapi.h>
#include <crypto/skcipher.h>
#include <linux/bvec.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uio.h>
#include <qcow/report.h>

#include "compat.h"
#include "layer/crypt.h"
#include "store/store.h"

#define AES_KEY_BYTES		16

/* Of the initialization vector of any cipher here. */
#define IV_BYTES		16

/* Requests that are in flight at once, of one caller. */
#define RUN_SLOTS		8

static const char * const ciphers[] = { "aes", "serpent", "twofish", "cast5" };
static const char * const chains[] = { "xts", "cbc" };

/* Hashes, as LUKS and as the kernel calls them. */
static const char * const hashes[][2] = {
	{ "md5", "md5" }, { "sha1", "sha1" }, { "sha224", "sha224" }, { "sha256", "sha256" },
	{ "sha384", "sha384" }, { "sha512", "sha512" }, { "ripemd160", "rmd160" },
};

/**
 * struct crypt_slot - a sector on its way through the cipher
 * @sg: its memory
 * @iv: initialization vector, aligned as a cipher may want it
 * @wait: for its end
 * @ret: what the cipher returned
 */
struct crypt_slot {
	struct scatterlist sg;
	__le64 iv[IV_BYTES / sizeof(__le64)] __aligned(IV_BYTES);
	struct crypto_wait wait;
	int ret;
};

/**
 * struct crypt_run - sectors that follow each other
 * @crypt: the cipher
 * @direction: whether they are encrypted
 * @sector: number of the next one
 * @nr: slots in use
 * @nr_ready: slots whose request has all that stays the same
 * @slots: the slots; behind them, their requests
 */
struct crypt_run {
	struct qcow_crypt *crypt;
	enum qcow_crypt_direction direction;
	u64 sector;
	unsigned int nr;
	unsigned int nr_ready;
	struct crypt_slot slots[RUN_SLOTS];
};

static size_t run_offset(void)
{
	return ALIGN(sizeof(struct crypt_run), CRYPTO_MINALIGN);
}

static size_t request_bytes(const struct qcow_crypt *crypt)
{
	return ALIGN(sizeof(struct skcipher_request) + crypto_skcipher_reqsize(crypt->tfm),
		     CRYPTO_MINALIGN);
}

static struct skcipher_request *run_request(struct crypt_run *run, unsigned int nr)
{
	return (void *)run + run_offset() + nr * request_bytes(run->crypt);
}

static struct crypt_run *run_begin(struct qcow_crypt *crypt, enum qcow_crypt_direction direction,
				   u64 sector)
{
	struct crypt_run *run = mempool_alloc(&crypt->runs, GFP_NOIO);

	run->crypt = crypt;
	run->direction = direction;
	run->sector = sector;
	run->nr = 0;
	run->nr_ready = 0;
	return run;
}

static void run_prepare_slot(struct crypt_run *run, unsigned int nr)
{
	struct skcipher_request *request = run_request(run, nr);
	struct crypt_slot *slot = &run->slots[nr];

	sg_init_table(&slot->sg, 1);
	crypto_init_wait(&slot->wait);
	skcipher_request_set_tfm(request, run->crypt->tfm);
	skcipher_request_set_callback(request,
				      CRYPTO_TFM_REQ_MAY_SLEEP | CRYPTO_TFM_REQ_MAY_BACKLOG,
				      crypto_req_done, &slot->wait);
	skcipher_request_set_crypt(request, &slot->sg, &slot->sg, SECTOR_SIZE, slot->iv);
}

static int run_wait(struct crypt_run *run)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < run->nr; i++) {
		int ret = crypto_wait_req(run->slots[i].ret, &run->slots[i].wait);

		err = err ?: ret;
	}
	run->nr = 0;
	return err;
}

static int run_sector(struct crypt_run *run, struct page *page, unsigned int offset)
{
	struct skcipher_request *request = run_request(run, run->nr);
	struct crypt_slot *slot = &run->slots[run->nr];

	if (run->nr == run->nr_ready)
		run_prepare_slot(run, run->nr_ready++);
	sg_set_page(&slot->sg, page, SECTOR_SIZE, offset);
	slot->iv[0] = cpu_to_le64(run->sector++ & run->crypt->sector_mask);
	slot->iv[1] = 0;
	if (run->direction == QCOW_ENCRYPT)
		slot->ret = crypto_skcipher_encrypt(request);
	else
		slot->ret = crypto_skcipher_decrypt(request);
	if (slot->ret != -EINPROGRESS && slot->ret != -EBUSY)
		return slot->ret;
	return ++run->nr == RUN_SLOTS ? run_wait(run) : 0;
}

/* The first @len bytes of @bvecs but for @skip. */
static int run_bvecs(struct crypt_run *run, const struct bio_vec *bvecs, size_t skip, u64 len)
{
	struct bvec_iter it = { .bi_size = len, .bi_offset = skip };
	int err = 0;

	while (it.bi_size && !err) {
		/* A page at a time: what it lies in may have more. */
		struct bio_vec bvec = bvec_iter_bvec(bvecs, it);

		if (!IS_ALIGNED(bvec.bv_len, SECTOR_SIZE))
			return -EIO;
		bvec_iter_advance_single(bvecs, &it, bvec.bv_len);
		for (; bvec.bv_len && !err; bvec.bv_len -= SECTOR_SIZE) {
			err = run_sector(run, bvec.bv_page, bvec.bv_offset);
			bvec.bv_offset += SECTOR_SIZE;
		}
	}
	return err;
}

static int run_end(struct crypt_run *run, int err)
{
	int ret = run_wait(run);

	mempool_free(run, &run->crypt->runs);
	return err ?: ret;
}

int qcow_crypt_iter(struct qcow_crypt *crypt, enum qcow_crypt_direction direction,
		    const struct iov_iter *iter, u64 len, u64 sector)
{
	struct crypt_run *run = run_begin(crypt, direction, sector);

	return run_end(run, run_bvecs(run, iter->bvec, iter->iov_offset, len));
}

int qcow_crypt_buffer(struct qcow_crypt *crypt, enum qcow_crypt_direction direction, void *buf,
		      u64 len, u64 sector)
{
	struct crypt_run *run = run_begin(crypt, direction, sector);
	struct bio_vec bvecs[QCOW_SYNC_PAGES];
	unsigned int nr;
	size_t part;
	int err = 0;

	for (; len && !err; len -= part, buf += part) {
		part = qcow_store_describe(bvecs, &nr, buf, min_t(u64, len, QCOW_SYNC_BYTES));
		err = run_bvecs(run, bvecs, 0, part);
	}
	return run_end(run, err);
}

bool qcow_crypt_has_key(const struct qcow_crypt *crypt, const struct qcow_volume_key *key)
{
	return crypt->key.len == key->len &&
		!crypto_memneq(crypt->key.bytes, key->bytes, key->len);
}

static int crypt_create_pools(struct qcow_crypt *crypt)
{
	size_t bytes = run_offset() + RUN_SLOTS * request_bytes(crypt);
	int err = mempool_init_kmalloc_pool(&crypt->runs, 1, bytes);

	return err ?: mempool_init_kmalloc_pool(&crypt->buffers, 1, QCOW_CRYPT_BUFFER_BYTES);
}

static int crypt_set_key(struct qcow_crypt *crypt, const char *name,
			 const struct qcow_volume_key *key, struct qcow_report *rep)
{
	int err = crypto_skcipher_setkey(crypt->tfm, key->bytes, key->len);

	if (err == -ENOMEM)
		return err;
	if (err) {
		qcow_report(rep, "key of %u bytes: %s does not take it: error %d", key->len, name,
			    err);
		return -EKEYREJECTED;
	}
	crypt->key = *key;
	return 0;
}

static struct crypto_skcipher *crypt_alloc_tfm(const char *name, struct qcow_report *rep)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(name, 0, CRYPTO_ALG_ALLOCATES_MEMORY);

	if (!IS_ERR(tfm) || tfm == ERR_PTR(-ENOMEM) || tfm == ERR_PTR(-EINTR))
		return tfm;
	qcow_report(rep, "cipher %s: this kernel is without it: error %ld", name, PTR_ERR(tfm));
	return ERR_PTR(-EOPNOTSUPP);
}

/* @name: of the cipher in the kernel. */
static struct qcow_crypt *crypt_open(const char *name, const struct qcow_volume_key *key,
				     struct qcow_report *rep)
{
	struct qcow_crypt *crypt = kzalloc(sizeof(*crypt), GFP_KERNEL);
	int err;

	if (!crypt)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&crypt->lock);
	INIT_LIST_HEAD(&crypt->waiting);
	crypt->sector_mask = U64_MAX;
	crypt->tfm = crypt_alloc_tfm(name, rep);
	if (IS_ERR(crypt->tfm)) {
		err = PTR_ERR(crypt->tfm);
		kfree(crypt);
		return ERR_PTR(err);
	}
	err = crypt_set_key(crypt, name, key, rep);
	if (!err)
		err = crypt_create_pools(crypt);
	if (err) {
		qcow_crypt_close(crypt);
		return ERR_PTR(err);
	}
	return crypt;
}

static int check_key_bytes(const struct qcow_volume_key *key, u32 bytes, struct qcow_report *rep)
{
	if (key->len == bytes)
		return 0;
	qcow_report(rep, "key of %u bytes: the image has one of %u", key->len, bytes);
	return -EKEYREJECTED;
}

struct qcow_crypt *qcow_crypt_open_aes(const struct qcow_volume_key *key, struct qcow_report *rep)
{
	int err = check_key_bytes(key, AES_KEY_BYTES, rep);

	return err ? ERR_PTR(err) : crypt_open("cbc(aes)", key, rep);
}

const char *qcow_crypt_hash(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hashes); i++) {
		if (!strcmp(hashes[i][0], name))
			return hashes[i][1];
	}
	return NULL;
}

static bool is_plain(const struct qcow_luks_mode *mode)
{
	return !strcmp(mode->ivgen, "plain") || !strcmp(mode->ivgen, "plain64");
}

/* The kernel's name of a cipher, from words that are known: a name can have it build anything. */
static int crypt_name(const struct qcow_luks *luks, const struct qcow_luks_mode *mode, char *name,
		      size_t size, struct qcow_report *rep)
{
	const char *hash = qcow_crypt_hash(mode->ivgen_hash);
	bool known = match_string(ciphers, ARRAY_SIZE(ciphers), luks->cipher) >= 0 &&
		     match_string(chains, ARRAY_SIZE(chains), mode->chain) >= 0;

	if (known && is_plain(mode)) {
		snprintf(name, size, "%s(%s)", mode->chain, luks->cipher);
		return 0;
	}
	if (known && !strcmp(mode->ivgen, "essiv") && hash) {
		snprintf(name, size, "essiv(%s(%s),%s)", mode->chain, luks->cipher, hash);
		return 0;
	}
	qcow_report(rep, "LUKS header: cipher %s-%s is not supported", luks->cipher, luks->mode);
	return -EOPNOTSUPP;
}

struct qcow_crypt *qcow_crypt_open_luks(const struct qcow_luks *luks,
					const struct qcow_volume_key *key, struct qcow_report *rep)
{
	struct qcow_luks_mode mode;
	struct qcow_crypt *crypt;
	char name[CRYPTO_MAX_ALG_NAME];
	int err;

	qcow_luks_split_mode(luks->mode, &mode);
	err = crypt_name(luks, &mode, name, sizeof(name), rep);
	if (!err)
		err = check_key_bytes(key, luks->key_bytes, rep);
	if (err)
		return ERR_PTR(err);
	crypt = crypt_open(name, key, rep);
	if (IS_ERR(crypt))
		return crypt;
	crypt->by_host = true;
	if (!strcmp(mode.ivgen, "plain"))
		crypt->sector_mask = U32_MAX;
	return crypt;
}

void qcow_crypt_close(struct qcow_crypt *crypt)
{
	if (!crypt)
		return;
	mempool_exit(&crypt->buffers);
	mempool_exit(&crypt->runs);
	crypto_free_skcipher(crypt->tfm);
	kfree_sensitive(crypt);
}
