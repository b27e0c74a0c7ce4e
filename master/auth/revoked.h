/* Certificates that count no more before they end: the list, who is on it, and what comes of that.
 *
 * The list is ConfigMap kube-system/reeve-revoked, an object like any other, so replicated, in snapshots, backed up.
 * Its data:
 *   list    a line each: "node BEFORE UNTIL NAME", "admin BEFORE UNTIL NAME" (all of a user's, administrator or not:
 *           what was issued before that moment, in ms since the epoch, counts no more) or "serial AT UNTIL HEX" (this
 *           one certificate). UNTIL, in s: when all that the line means have ended; the leader then takes it away
 *   floor   ms: node certificates issued before count only while their Node exists. Set when the list is full: it
 *           stands for the lines of nodes that had to go. Absent = 0
 *
 * The deletion of a Node puts its line into the list in the same transaction, so there is no moment, and no crash, in
 * between. A moment is chosen REVOKED_SKEW_MS ahead of the leader's clock, since another master, whose clock is ahead,
 * may just be renewing the certificate; whoever is let in again meanwhile gets one that counts as issued at that moment
 * (revoked_stamp).
 *
 * Each master keeps an index of the list as committed, and looks at it for every call of a session, for every call that
 * is forwarded to it, again when a read has caught up with the leader, and for all sessions when the list has changed:
 * those of revoked certificates are closed. Limits: REVOKED_MAX lines of REVOKED_BYTES_MAX bytes in all. Loop thread
 * only. */
#ifndef MASTER_AUTH_REVOKED_H
#define MASTER_AUTH_REVOKED_H

#include "master/front/call.h"

#define REVOKED_MAX       4096u
#define REVOKED_BYTES_MAX (512u << 10)
#define REVOKED_SKEW_MS   60000

struct revoked *revoked_new(void);
void revoked_free(struct revoked *r);
/* The committed state has moved: takes the list in, and closes sessions. */
void revoked_advance(struct master *m);
/* Does this certificate count no more? err (may be NULL) says since when, and what to do. facts without a serial (an
 * older master forwards, or no certificate) are on no list. */
bool revoked_has(const struct master *m, const struct pki_identity *who, const struct pki_facts *facts,
                 struct error *err);
/* Were all certificates of this identity revoked at that moment or later? Within its second counts, too: moments in
 * objects have no parts of seconds. */
bool revoked_since(const struct master *m, const struct pki_identity *who, int64_t since_ms);
/* When a certificate that is signed now shall count as issued: now, or later if the list says so of this identity.
 * For pki_sign_request. */
int64_t revoked_stamp(const struct master *m, const struct pki_identity *who);
/* Leader: the transaction deletes Nodes, or marks them deleted: their lines go into it. At most one more operation. */
int revoked_add_nodes(struct master *m, struct txn *t, struct error *err);
/* Leader: this identity (node or admin), or the certificate with this serial number (hex), counts no more; into the
 * transaction. until_s: when the line goes. */
int revoked_add(struct master *m, struct txn *t, enum pki_role role, struct str name, int64_t *until_s,
                struct error *err);
int revoked_add_serial(struct master *m, struct txn *t, struct str serial, int64_t *until_s, struct error *err);
/* Calls each with every line of the committed list; name is borrowed. */
typedef void revoked_each_cb(struct str kind, struct str name, int64_t at_ms, int64_t until_s, void *data);
unsigned revoked_each(const struct master *m, revoked_each_cb *each, void *data);
int64_t revoked_floor_ms(const struct master *m);
/* Masters that agents and clients shall refuse (pki.h): those that were removed, and revoked serial numbers, the
 * newest that fit. */
void revoked_write_masters(const struct master *m, struct buf *out);
void revoked_close_sessions(struct master *m); /* those that came with a certificate that counts no more */
/* This session came with a revoked certificate: the next chores close it. */
void revoked_mark(struct session *s);
/* Chores: closes sessions that came with a revoked certificate; the leader takes away lines that are over. */
void revoked_tick(struct master *m);
unsigned revoked_count(const struct master *m);
bool revoked_is_list(const struct object *o); /* the object itself, which cannot be deleted */
/* An empty list, unless there is one: at the start of a leadership. */
void revoked_bootstrap(struct master *m, struct txn *t);

#endif
