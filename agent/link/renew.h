/* The node's certificate lives on: at two thirds of its life (proto/pki/pki.h) a fresh key is made, a master certifies
 * it over the session that the old certificate has opened (cert.renew), and both files are replaced as one. The session
 * stays, the next connection takes the new one; pods know nothing of it.
 *
 * A node that was off for longer than its certificate lived is let in by the masters for this one call, as long as
 * pki.h's grace lasts and the node was not deleted; after that it joins anew. If the files cannot be written, the new
 * certificate is used all the same and a later one is written. Failures are told to the log and tried again with
 * growing pauses. Loop thread only; writing blocks for as long as three small files take to be synced. */
#ifndef AGENT_LINK_RENEW_H
#define AGENT_LINK_RENEW_H

#include "base/env.h"
#include "base/log.h"
#include "base/mem.h" /* before uv.h: MIN and MAX */
#include "proto/rpc/rpc.h"

struct renew_config {
    const struct env *env;
    const struct log *log;
    const char *dir;  /* holds ca.pem, agent.pem, agent.key; copied */
    const char *name; /* of the node; copied */
};
struct renew;
/* Reads the certificate's life. ERR_* with the file that is missing or damaged. */
int renew_new(const struct renew_config *c, struct renew **out, struct error *err);
void renew_free(struct renew *r); /* not while a call is under way */
/* Time to ask, and nobody is asking yet. */
bool renew_due(const struct renew *r);
/* Outside its time: the masters will answer nothing but cert.renew. */
bool renew_expired(const struct renew *r);
/* An answer is awaited: renew_send must not be called. */
bool renew_asking(const struct renew *r);
/* The masters say which standing (pki.h) a certificate has that they sign now; "": they do not know. If ours has
 * another one, the cluster's CA is being replaced: it is time to ask. */
void renew_told(struct renew *r, struct str standing);
/* Masters that count no more, as the leader says (pki.h), kept in DIR/masters.refused; what is not valid is passed
 * over. True: it is another list than before. */
bool renew_refuse(struct renew *r, struct str refused);
const char *renew_refused(const struct renew *r); /* "": none */
/* Of the certificate in use; "" if it is not known. */
const char *renew_standing(const struct renew *r);
/* Of the certificate in use, in seconds since 1970. */
void renew_life(const struct renew *r, int64_t *from_s, int64_t *until_s);
/* Ask over an open session, or one that is being opened. done comes once, later: with the TLS to use from now on (a
 * reference that the callee takes over), or NULL and the reason (ERR_CLOSED: the session ended first). */
typedef void renew_done_cb(struct net_tls *tls, const struct error *err, void *data);
void renew_send(struct renew *r, struct rpc_session *rpc, int64_t timeout_ms, renew_done_cb *done, void *data);

#endif
