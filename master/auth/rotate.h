/* The cluster's CA is replaced by another while all goes on: from A to B.
 *
 *   NONE --cert.rotate--> TRUST --all masters trust A and B--> SIGN --nobody is left on A--> SWITCH --masters are on B
 *   as well--> NONE
 *
 *   NONE     one CA. Masters present certificates of it, and sign with it
 *   TRUST    masters trust A and B. They tell nobody yet
 *   SIGN     nodes and users who renew, and nodes that join, are given certificates of B, and are told to trust both.
 *            Masters still present A, since there are clients that know it alone; masters that join get one of A too
 *   SWITCH   masters renew their own certificates: B signs all
 *   NONE     A counts no more: connections that were opened with its certificates are closed
 *
 * The record is ConfigMap kube-system/reeve-ca, an object like any other, so replicated, in snapshots, backed up. Its
 * data:
 *   ca       PEM: what all trust; A while it is being replaced
 *   next     PEM of B; with it, phase: "trust", "sign" or "switch"
 *   since    RFC 3339: of the phase
 *   hold     "true": SIGN does not end by itself, so that users have time to renew; finish ends it
 *   finish   "true": whoever is missing is waited for no more; "masters": masters that do not answer are not, all
 *            others are. Said in TRUST, "true" becomes "masters" in SIGN: nodes and users have had no time yet
 * B's key is sealed together with A's (authority.h), at the end alone.
 *
 * Each step is one transaction of whoever leads, judged by what the masters tell when they are asked ("ca.state"), so a
 * new leader goes on where the last one was. Each master carries out what the committed record says, whenever it sees
 * it: when it starts too. Nothing of it needs the key of A: trust in B is spread over connections that have been
 * authenticated.
 *
 * A master that was away while A was dropped cannot connect any more: it has to join anew (rctl master remove, rctl
 * master add). Loop thread only. */
#ifndef MASTER_AUTH_ROTATE_H
#define MASTER_AUTH_ROTATE_H

#include "master/front/call.h"
#include "master/master.h"

struct rotate *rotate_new(void);
void rotate_free(struct rotate *r);
/* The CAs in use are m->ca_pem, read anew from files: the record is carried out from the start. */
void rotate_restart(struct master *m);
/* The committed state has moved: takes the record in and does what it says. */
void rotate_advance(struct master *m);
/* Chores: what could not be done; the leader's steps. */
void rotate_tick(struct master *m);
bool rotate_is_record(const struct object *o); /* the object itself, which cannot be deleted */

/* While a CA is being replaced: the CA (borrowed) that signs for this role, if it is the new one already. False:
 * nothing is set. */
bool rotate_signer(const struct master *m, enum pki_role role, const char **ca_pem);
/* Masters' certificates are not renewed now: they would be of the new CA, which not everybody trusts yet. */
bool rotate_delays_own(const struct master *m);
const char *rotate_next(const struct master *m); /* the new CA while one is being replaced, else NULL; borrowed */
/* Whom clients and nodes are told to trust; borrowed. */
const char *rotate_trust(const struct master *m);
/* The standing (pki.h) of a certificate that is signed now for a client or node; "" where that is not known. */
const char *rotate_standing(const struct master *m);
/* Our own certificate is to be of another CA than it is: it is renewed at once. */
bool rotate_wants_own(const struct master *m);
/* The CA that signed this certificate counts no more. facts without a CA are not doubted. */
bool rotate_distrusts(const struct master *m, const struct pki_facts *facts);
/* A certificate of this CA (fingerprint) is one of the old ones, of a CA that is being replaced. */
bool rotate_is_old(const struct master *m, const char *ca);
void rotate_on_session_closed(struct session *s);
/* "rotation": what is under way, into a map; false: nothing is, and nothing is written. */
bool rotate_write(struct master *m, struct buf *b);
bool rotate_under_way(const struct master *m);

/* What another master asks: {} -> {next, presents, kept, users} (rotate_lead.c). */
void rotate_tell(struct master *m, struct rpc_request *req);

#endif
