/* The keys that seal Secrets on disk: one that seals, and those that open what was sealed before.
 *
 * There is one as a rule, and two while it is replaced (master/auth/reseal.h); a third is there if a master has not
 * finished with the one before. What is sealed does not say by which key: opening tries them in order, and the tag of
 * AES-GCM tells (128 bits). So nothing on disk has another form with several keys than with one.
 *
 * As text, one key a line: 64 hexadecimal digits. Of several, each has its id behind it, by which damage is found, and
 * the first one the word "seals". One key alone stands there without, as programs before had it. */
#ifndef PROTO_PKI_RING_H
#define PROTO_PKI_RING_H

#include "proto/pki/pki.h"

#define PKI_RING_MAX      3u
#define PKI_RING_ID_SIZE  17 /* hex digits and NUL */
#define PKI_RING_TEXT_MAX 512u

struct pki_ring {
    unsigned count;                                /* 0: nothing is sealed, nothing is opened */
    uint8_t keys[PKI_RING_MAX][PKI_SEAL_KEY_SIZE]; /* the first one seals */
};

/* What a key is called where it must not be known: eight bytes of a hash, of a key of 256 random bits. */
void pki_ring_id(const uint8_t key[PKI_SEAL_KEY_SIZE], char out[PKI_RING_ID_SIZE]);
/* Its place; -1: it is not there. */
int pki_ring_find(const struct pki_ring *r, const char *id);
/* Behind the others; nothing if it is there already. ERR_LIMIT: there is no room. */
int pki_ring_add(struct pki_ring *r, const uint8_t key[PKI_SEAL_KEY_SIZE]);
void pki_ring_seal_with(struct pki_ring *r, unsigned place); /* it is the first one now; the others keep their order */
void pki_ring_remove(struct pki_ring *r, unsigned place);
bool pki_ring_equal(const struct pki_ring *a, const struct pki_ring *b);
void pki_ring_wipe(struct pki_ring *r);
/* The key that seals; NULL: none. */
static inline const uint8_t *pki_ring_sealing(const struct pki_ring *r)
{
    return r == NULL || r->count == 0 ? NULL : r->keys[0];
}
/* As pki_open, with whichever of them fits. ERR_CORRUPT: none does. */
int pki_ring_open(const struct pki_ring *r, struct str aad, struct str sealed, struct buf *out);
void pki_ring_write(const struct pki_ring *r, struct buf *out); /* not an empty one */
/* ERR_CORRUPT: it is no such text; *out is empty then. */
int pki_ring_read(struct str text, struct pki_ring *out);

#endif
