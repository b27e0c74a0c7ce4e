/* Join tokens: who may join the cluster, how often, under which names and until when. Idea: kubeadm's bootstrap tokens.
 *
 * A token is `id.secret@fingerprint`. Id and secret are kept in the Secret kube-system/bootstrap-token-ID; the
 * fingerprint is that of the cluster's CA, so that the newcomer knows the server. The Secret's data:
 *   token-id, token-secret, role ("master" or "node"), expiration (RFC 3339)
 *   uses        how many newcomers it still lets in; absent (made by an older master) = 1
 *   node-names  nodes: the name, or a pattern with * and ?, that the newcomer must have; absent = any
 *   replaces, even-reachable   masters: whose place the newcomer takes
 *   used-by     the newest newcomers, one a line, so that one who missed the answer can ask again without counting
 *               twice
 * A token that was used up stays TOKEN_SPENT_MS for such a repetition. The controller "tokens" takes expired ones away.
 * All functions are for the leader, on its loop. */
#ifndef MASTER_AUTH_TOKENS_H
#define MASTER_AUTH_TOKENS_H

#include "master/master.h"

#define TOKEN_SIZE       80
#define TOKEN_ID_CHARS   6
#define TOKEN_SPENT_MS   600000
#define TOKEN_TTL_S      (24 * 3600)
#define TOKEN_NEWEST_MAX 16u /* newcomers that are remembered */

struct token_grant {
    enum pki_role role;
    int64_t uses;          /* 1 to API_TOKEN_USES_MAX */
    struct str node_names; /* nodes: name or pattern; empty = any */
    uint64_t replaces;     /* masters: whose place the newcomer takes; 0 = nobody's */
    bool even_reachable;   /* ... also if that one still answers */
};

/* A fresh token's text. Wipe it after use. */
void token_text(const struct env *env, const char *ca_pem, char out[TOKEN_SIZE]);
/* Its Secret in a transaction, good for ttl_s from now. */
int token_store(struct master *m, struct txn *t, const struct token_grant *grant, const char *token, int64_t ttl_s);

/* The token's Secret, borrowed from the tip: right secret, right role, not expired. Else NULL, and err says the same
 * for every reason (a guesser learns nothing): ERR_UNAUTHORIZED. */
const struct object *token_find(struct master *m, struct str token, struct str role, struct error *err);
/* May `who` (a node: its name and what tells its key; a master: what tells its key) join with it under this name?
 * ERR_UNAUTHORIZED: it is used up, or was given for another name. */
int token_admits(const struct object *secret, struct str name, const char *who, struct error *err);
/* Notes in the transaction that `who` has joined with it. Not counted twice. id: the first TOKEN_ID_CHARS of the
 * token. */
int token_use(struct master *m, struct txn *t, const char *id, const char *who, struct error *err);
/* A member of the Secret's data; empty if it is not there. */
struct str token_field(const struct object *secret, const char *key);

#endif
