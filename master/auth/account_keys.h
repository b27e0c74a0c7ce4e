/* The keys that sign tokens of service accounts (account_token.h): ECDSA on P-256, in Secret
 * kube-system/reeve-account-keys, an object like any other, so replicated, sealed on disk, backed up. The masters alone
 * and administrators write it, and nobody deletes it. Its data:
 *
 *   issuer     whose tokens they are (iss): a name, chosen when the record is made, that stays
 *   key.N      a key, PEM. The greatest N signs, once it is older than ACCOUNT_KEYS_SPREAD_S, so that all masters know
 *              a key before they meet a token of it
 *   made.N     when it was made; s since the epoch
 *   until.N    when it goes: the last token that it can have signed is over then. Absent: it may sign. The leader takes
 *              it away then; the greatest N never. Tokens of Secrets, which have no end, are made anew with the next
 *              key (secret_tokens.h)
 *
 * The first leader makes the record. Each master keeps the keys of the committed record ready for use. A key that
 * cannot be read is left out. Loop thread only. */
#ifndef MASTER_AUTH_ACCOUNT_KEYS_H
#define MASTER_AUTH_ACCOUNT_KEYS_H

#include "proto/jwt/jwt.h"
#include "raft-store/store/txn.h"

#define ACCOUNT_KEYS_MAX      8u
#define ACCOUNT_KEYS_SPREAD_S 60
#define ACCOUNT_KEYS_AGAIN_MS 10000 /* between two tries to take away those that are over */

struct master;
struct account_keys;
struct account_keys *account_keys_new(void);
void account_keys_free(struct account_keys *k); /* NULL is fine */
/* The committed state has moved: takes the record in. */
void account_keys_advance(struct master *m);
/* Leader: the record into the transaction, if there is none. */
int account_keys_bootstrap(struct master *m, struct txn *t, struct error *err);
/* Leader: one more key, which signs from now on, into the transaction, without those that are over. ERR_BUSY: there are
 * ACCOUNT_KEYS_MAX, of which none is over. */
int account_keys_rotate(struct master *m, struct txn *t, struct error *err);
/* Leader, from the timer of chores: takes away keys that are over. */
void account_keys_tick(struct master *m);

/* The key that signs now; NULL: there is none yet. Keys are borrowed for the turn. */
const struct jwt_key *account_keys_signer(const struct master *m);
const struct jwt_key *const *account_keys_all(const struct master *m, unsigned *count);
const char *account_keys_issuer(const struct master *m); /* "": there is no record yet */
/* Grows whenever other keys are in use. */
uint64_t account_keys_revision(const struct master *m);
bool account_keys_is_record(const struct object *o);

#endif
