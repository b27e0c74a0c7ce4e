/* Who comes with a token instead of a certificate (Authorization: Bearer), and whether that token is still good.
 *
 *   token  --bearer_prove: signature, issuer, audience, time-->  principal (PROOF_TOKEN)
 *   principal  --bearer_check: time, and the state: account, pod, Secret--> it may go on, or 401
 *
 * The second is asked for every request when it is its turn, on this master and on the leader that it is forwarded to,
 * and a few times a second for streams. What a master has not heard of yet may be there all the same: before a request
 * is refused for it, the state is confirmed (front/errand.c), as for any read. So a token is dead on all masters from
 * the moment that the deletion of what it speaks of was acknowledged, and alive from the moment that it was given.
 *
 * A signature costs about 100 us to verify: the last BEARER_CACHE tokens that were good are remembered, by their
 * SHA-256; no token is kept. What fails is limited, so that nobody has a master verify more than that (BEARER_WRONG_*),
 * and counts where it hurts nobody else: a token that is none by what it says itself (no JSON, another issuer or
 * audience, over) on its network; one that says that it is of an account which is there, on network and account. So who
 * floods a master keeps no good token of the same address from being taken, but for those of accounts whose uids he
 * knows; and of many such accounts a network has BEARER_FORGED_* together. Users' tokens cost a hash, and are looked at
 * always.
 *
 * A token that is signed well and dead proves who asks, and no more: each request with it is 401, and its connection
 * stays a stranger's. Such are not counted.
 *
 * A user's token is no JSON Web Token: "reeve-user.ID.SECRET" (user_token.h), a Secret that holds a hash. Nor is a
 * bootstrap token (bootstrap_token.h). Both are looked up in the state as it is here: a follower that has not heard yet
 * of one that was just made says 401, some milliseconds long.
 * Loop thread only. Source: Kubernetes' bearer token and service account authenticators. */
#ifndef MASTER_AUTH_BEARER_H
#define MASTER_AUTH_BEARER_H

#include "base/env.h"
#include "master/auth/principal.h"

#define BEARER_CACHE        1024u
#define BEARER_CACHE_SET    4u
#define BEARER_WRONG_BURST  100
#define BEARER_WRONG_US     100000 /* one more may fail after so long */
#define BEARER_FORGED_BURST 1000
#define BEARER_FORGED_US    5000
#define BEARER_LEEWAY_S     60 /* how far the clock of the master that made it may be ahead */

struct master;
struct bearers;
struct bearers *bearers_new(const struct env *env);
void bearers_free(struct bearers *b); /* NULL is fine */

/* Whose token it is; a reference for the caller. network: of whoever came with it, on whom a failure is counted.
 * ERR_UNAUTHORIZED: it is none, or none of ours, or not for the masters, or its time is over. ERR_LIMIT: too many have
 * failed; this one was not looked at. No text of an error has a part of it. */
int bearer_prove(struct master *m, struct str token, struct str network, struct principal **out, struct error *err);
/* The same of a token that somebody asks about (TokenReview): for one of these audiences; none: for the masters. Which
 * of them it is for: matched, as many as audiences. Nothing is remembered, and failures are not counted. The state is
 * asked as well, as it is here. */
int bearer_review(struct master *m, struct str token, const struct str *audiences, unsigned count, bool *matched,
                  struct principal *out, struct error *err);
/* Is what a principal was proven by still good, by the clock and by what is committed here? 0 for certificates.
 * ERR_UNAUTHORIZED. */
int bearer_check(const struct master *m, const struct principal *p, struct error *err);
/* What else is known of whom a token is, into a map: "uid" and "extra" (a map of lists), or one, or none. How many. */
unsigned bearer_more(const struct principal *p);
void bearer_write_more(struct buf *b, const struct principal *p);
/* The audience of the masters, which is their issuer's name. */
struct str bearer_audience(const struct master *m);

#endif
