/* The cluster's CA as the masters can use it: who needs a signature, or the CA's key itself, asks here and nowhere
 * else.
 *
 * No master has the CA's key in clear on its disk. The key (two, while the CA is replaced: rotate.h) is sealed under a
 * key K of 32 random bytes, in Secret kube-system/reeve-ca (sealed.h). K is split among the voters (proto/pki/share.h)
 * so that as many parts as are a majority of the voters give it, and each keeps its own part in the file ca.part
 * (parts.h). Fewer say nothing of K. Members that do not vote yet have a part as well: a newcomer votes when it has
 * (authority_may_vote), so that at any time a majority of the voters has enough. With one voter a part is K.
 *
 *   voter   gives its part to the leader of its current term and to nobody else. A master asks over its authenticated
 *           connection, and says its term
 *   leader  gathers the parts when it begins to lead, joins K, opens the box, and holds the keys in memory for keys
 *           (base/locked.h) until it leads no more
 *
 * A generation is one K, one split, one box. The leader makes a new one (a deal) when the members are others than those
 * that have parts, when another number of parts is a majority, before a voter is removed, before the CA is replaced,
 * and when there is none:
 *
 *   NONE --parts are handed out--> HANDED OUT --a majority of the voters, ourselves and all that answer among them,
 *   have theirs on the disk--> COMMITTED: one transaction replaces the Secret
 *
 * Voters write a part beside the older one, and drop the older one when the committed Secret is of the newer
 * generation. So whenever a leader dies, the Secret and the parts of its generation are there. Who has no part of the
 * generation that counts (it was away, or lost it, or its part is wrong) is given it: the leader can compute it.
 *
 * A removed voter's part is of a former generation: a removal waits until the others have a new one
 * (authority_may_drop).
 *
 * Clusters whose masters have the key in clear (ca.key: just made by init, restore or recover, or of an older version)
 * make their first generation when the cluster's feature level is RELEASE_LEVEL_PARTS and all voters say that they can
 * (a program that does not know the question says ERR_UNSUPPORTED): an older program does not start on a directory
 * without ca.key. Until then the key goes on in clear, and the leader signs with it.
 * ca.key is overwritten and removed when the Secret is committed and the own part is on the disk.
 *
 * Between masters ("?": may be absent):
 *   ca.has   {term, ?deal, ?settled} -> {parts: [deals], clear}   who has what; settled: `deal` is safe without ca.key
 *   ca.get   {term, deal} -> {x, part} or, of one who has ca.key while there is no generation, {clear: PEM}
 *   ca.put   {term, generation, deal, x, part} -> {}              answered when it is on the disk
 *   ca.sign  {csr, sans} -> {certificate}                         a master's own certificate, from the leader
 * The first three are answered to the leader of the term alone: ERR_NOT_LEADER otherwise.
 *
 * Loop thread only. Whoever signs leads (the methods that do are METHOD_WRITE), so a signature is asked for at the
 * leader alone; a master that still has ca.key signs its own certificate itself.
 *
 * What needs the key fails with ERR_NO_QUORUM while the key is not at hand, and it is seen to that it will be: that is
 * an error of the kind that a request waits out within its deadline (front/parked.c), so a call fails with it
 * (call_fail) and is handled anew. ERR_UNSUPPORTED: all voters have been asked, and their parts do not give the key. */
#ifndef MASTER_AUTH_AUTHORITY_H
#define MASTER_AUTH_AUTHORITY_H

#include "master/front/call.h"
#include "proto/pki/pki.h"

struct authority;
struct authority *authority_new(void);
void authority_free(struct authority *a); /* wipes */
/* Our parts, from the disk: at the start. A part that cannot be read is one that is lost: the log says so. */
void authority_load(struct master *m);
void authority_advance(struct master *m);                  /* the committed state has moved */
void authority_on_leading(struct master *m, bool leading); /* false: keys are wiped */
void authority_tick(struct master *m);                     /* chores */
/* What another master asks ("ca.has" and so on, not ca.state); false: it is none of these. */
bool authority_on_request(struct master *m, uint64_t peer_id, struct rpc_request *req, struct str method,
                          struct mp params);

/* A certificate for the request's key, of the life that such a role has (config.h), issued when the list of what is
 * revoked allows (revoked.h). sans: PEM text's names, NULL or "": none. *cert_pem: the caller frees. ERR_INVALID:
 * the request is at fault. */
int authority_sign(struct master *m, const struct pki_identity *who, const char *csr_pem, const char *sans,
                   char **cert_pem, struct error *err);
/* The same for a user with groups (pki_sign_user), good for max_s seconds at most (0: as long as such a role's); both
 * are of no meaning for others. */
int authority_sign_groups(struct master *m, const struct pki_identity *who, const char *groups, int64_t max_s,
                          const char *csr_pem, const char *sans, char **cert_pem, struct error *err);
/* Whether authority_sign could for such a role. Its errors, but for ERR_INVALID. */
int authority_can_sign(struct master *m, enum pki_role role, struct error *err);
/* Leader: no master has the key, so nobody can join or renew until the CA is replaced. */
bool authority_is_lost(const struct master *m);
/* A copy of the key (PEM) of the CA that counts, for a backup; the caller gives it to pki_free_key. */
int authority_copy_key(struct master *m, char **key_pem, struct error *err);
/* The key of this CA (of several: the first) if it is at hand here, borrowed for the turn; else NULL. */
const char *authority_key(const struct master *m, const char *ca_pem);

/* ---- For the rotation of the CA (rotate.h), on the leader ---- */

/* The keys may be changed now: there is a generation that was made for this rotation, so that K was in no other hands,
 * and its K is at hand. Otherwise ERR_NO_QUORUM, and one is made; without the former key too, if it is lost. */
int authority_fresh(struct master *m, struct error *err);
/* Into the transaction: the Secret with one more key; with the key of this CA alone. ERR_BUSY: it is just being
 * changed. */
int authority_add_key(struct master *m, struct txn *t, const char *ca_pem, const char *key_pem, struct error *err);
int authority_keep_key(struct master *m, struct txn *t, const char *ca_pem, struct error *err);
bool authority_settled(const struct master *m); /* leader: there is a generation, and its keys are at hand */

/* ---- For changes of the membership, on the leader ---- */

/* Before a member is removed. True: nothing that it has on its disk is needed, or of use. False: not yet; it is being
 * seen to, and a turn follows when that has changed. */
bool authority_may_drop(struct master *m, uint64_t id);
/* Before a standby becomes voter: it has its part. From inside the node's turn. */
bool authority_may_vote(struct master *m, uint64_t id);

/* "caKey" and a map: {?generation, ?threshold, atHand, clear, ?error, parts: [{id, has}]}, for cert.status. atHand:
 * here. parts: as the leader knows it. Nothing secret. */
void authority_write(struct master *m, struct buf *b);
bool authority_is_secret(const struct object *o); /* the object itself, which cannot be deleted */

#endif
