/* The CA's key as the cluster's state has it: sealed, in Secret kube-system/reeve-ca. One version of it is a
 * generation.
 *
 *   generation   a number that grows
 *   deal         16 hexadecimal digits: the split of the sealing key K, whose parts the voters have (parts.h)
 *   threshold    how many parts give K
 *   members      ids of the masters that were given parts, separated by spaces: the first has part 1
 *   ca           fingerprints of the CAs whose keys are sealed: none, one, or two while the CA is replaced (rotate.h)
 *   box          the keys, PEM, one behind the other: AES-256-GCM under K, bound to generation and deal
 *
 * K is in no file and in no log. A Secret that makes no sense is as none. */
#ifndef MASTER_AUTH_SEALED_H
#define MASTER_AUTH_SEALED_H

#include "master/auth/parts.h"
#include "proto/schema/object.h"
#include "raft-store/store/store.h"

#define SEALED_MEMBERS_MAX 64u
#define SEALED_KEYS_MAX    2u
#define SEALED_KEY_SIZE    8192u /* of a key as PEM, and NUL */

struct sealed {
    uint64_t generation;
    char deal[PARTS_DEAL_SIZE];
    unsigned threshold, count;
    uint64_t members[SEALED_MEMBERS_MAX]; /* that of part x is members[x - 1] */
    char cas[SEALED_KEYS_MAX * 33 + 1];
    struct str box; /* borrowed */
};
/* The keys, opened. Lives in memory for keys. */
struct keyring {
    char pem[SEALED_KEYS_MAX][SEALED_KEY_SIZE]; /* "": none */
};

const struct object *sealed_in(const struct view *v); /* NULL: there is none. Borrowed */
bool sealed_is(const struct object *o);
bool sealed_read(const struct object *o, struct sealed *out); /* o may be NULL */
/* Into a transaction, in place of what is on the tip. box: filled in from keys. */
int sealed_put(const struct view *tip, struct txn *t, const struct sealed *s, const uint8_t key[PKI_SHARE_SIZE],
               const struct keyring *keys, struct error *err);
/* 1 to count; 0: this master has none. */
unsigned sealed_part_of(const struct sealed *s, uint64_t id);

/* Joins the sealing key from these parts, of which some may be wrong: sets of `threshold` are tried until one opens the
 * box. fits (may be NULL): which of them belong to it. False: none does. */
bool sealed_join(const struct sealed *s, const struct pki_share *parts, unsigned count, uint8_t key[PKI_SHARE_SIZE],
                 bool *fits);
/* ERR_CORRUPT: it is not the key of this box. */
int sealed_open(const struct sealed *s, const uint8_t key[PKI_SHARE_SIZE], struct keyring *out);

/* The key of this CA (of several: of the first one), borrowed; NULL: it is not among them. */
const char *keyring_find(const struct keyring *k, const char *ca_pem);
/* One more, unless it is there; false: there is no place, or it is too long. */
bool keyring_add(struct keyring *k, const char *key_pem);

#endif
