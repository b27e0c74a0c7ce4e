/* The key that seals Secrets on masters' disks is replaced by another while all goes on: from A to B.
 *
 *   NONE --cert.reseal--> SPREAD --all masters have B--> USE --the leader seals with it--> CLEAN --nothing that A has
 *   sealed is left on any disk--> DROP --nobody has A any more--> NONE
 *
 *   NONE     one key seals and opens
 *   SPREAD   the leader has made B, and masters fetch it, from whoever has it. A seals
 *   USE      B seals, in the log and in snapshots; A opens what is there
 *   CLEAN    each master takes a snapshot and removes from its disk what it covers (replica_clean), and its quarantined
 *            directories (quarantine.h)
 *   DROP     each master removes A from seal.key
 *
 * The record is ConfigMap kube-system/reeve-seal, an object like any other, so replicated and in snapshots. Its data:
 *   phase    "spread", "use", "clean", "drop" or ""
 *   seals    the id (proto/pki/ring.h) of the key that seals
 *   next     the id of B, in SPREAD
 *   old      ids of keys that are of no use any more, the newest RESEAL_OLD_MAX: whoever has one drops it
 *   since    RFC 3339: of the phase
 *   finish   "true": masters that do not answer are waited for no more
 * A key never goes through the log: whoever has stolen A would read it there. It goes over the masters' own connections
 * (TLS), and is in seal.key before its holder says so.
 *
 * Why nothing that A has sealed stays behind: whatever is evaluated by a leader that has applied USE is sealed with B,
 * and a leader writes CLEAN when it has. So all that A has sealed stands in the log before CLEAN, and in snapshots of
 * before; what a master removes in CLEAN reaches at least as far as that.
 *
 * Each step is one transaction of whoever leads, judged by what the masters tell when they are asked ("seal.state"), so
 * a new leader goes on where the last one was. If the one that made B is gone with it, another key is made instead.
 * Each master does what the committed record says whenever it sees it, when it starts too. It drops a key only if the
 * record names it and its own disk is clean of it: so whoever was away finds out by itself what it has to do, and an
 * old record, which a master sees when it starts, cannot make it drop a key that is newer.
 *
 * A master that was away for all of it (finish) gets B as soon as somebody answers; if it is sent something sealed
 * before that, it cannot open it, and comes back as a new one (rescue/repair.h), with all keys. Loop thread only. */
#ifndef MASTER_AUTH_RESEAL_H
#define MASTER_AUTH_RESEAL_H

#include "master/front/call.h"
#include "master/master.h"

#define RESEAL_OLD_MAX 16u

struct reseal *reseal_new(void);
void reseal_free(struct reseal *r);
/* The committed state has moved, or this master begins to lead: takes the record in and does what it says. Before
 * anything is evaluated. */
void reseal_advance(struct master *m);
/* False: a leader seals with the key that the record tells, and we have not got it. The caller ends this master. */
bool reseal_may_lead(struct master *m);
/* For replica_events: a snapshot is sealed with the key that the state in it tells. False: we have not got it. */
bool reseal_on_fork(struct master *m);
/* Chores: what could not be done; the leader's steps. */
void reseal_tick(struct master *m);
bool reseal_is_record(const struct object *o); /* which cannot be deleted */
/* Without a master: the key that this state's record tells, if it is there, is the one that seals. */
void reseal_order(const struct view *v, struct pki_ring *keys);

bool reseal_under_way(const struct master *m);
/* "resealing": what is under way, into a map; false: nothing is, and nothing is written. */
bool reseal_write(struct master *m, struct buf *b);

/* What other masters ask: "seal.state" {} -> {revision, done, keys: [ids]}, "seal.key" {id} -> {key}. */
void reseal_tell(struct master *m, struct rpc_request *req);
void reseal_give(struct master *m, struct rpc_request *req, struct mp params);

#endif
