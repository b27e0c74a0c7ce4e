/* Who is let in with what: the same for all fronts. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "master/api/write.h"
#include "master/auth/access.h"
#include "master/auth/bearer.h"
#include "master/auth/rate.h"
#include "master/auth/revoked.h"
#include "master/front/errand.h"
#include "master/members/removed.h"

/* Once the state is confirmed, or was good for it before: it only goes on. Until then errand.c asks. */
static bool token_is_dead(struct errand *e)
{
    struct error err = {0};
    if ((!e->may_read && e->api.clearing == NULL) || bearer_check(e->api.m, e->who, &err) == 0) {
        return false;
    }
    errand_fail_now(e, &err);
    return true;
}

bool errand_revoked(struct errand *e)
{
    struct master *m = e->api.m;
    const struct principal *asker = principal_asker(e->who);
    const struct pki_identity *who = &asker->identity;
    if (asker->proof == PROOF_TOKEN) {
        return token_is_dead(e);
    }
    if (!revoked_has(m, who, &asker->facts, NULL)) { /* of nearly all, so no room for an error is cleared first */
        return false;
    }
    struct error err = {0};
    bool still = revoked_has(m, who, &asker->facts, &err);
    assert(still && err.code != 0);
    (void)still;
    struct session *s = e->front->session(e);
    m->stats.revoked_calls++;
    if (s != NULL) {
        revoked_mark(s); /* the chores close it when this has been said */
    }
    errand_fail_now(e, &err);
    return true;
}

static bool role_may(const struct errand *e)
{
    switch (e->who->role) {
    case PKI_ROLE_MASTER:
    case PKI_ROLE_ADMIN:
    case PKI_ROLE_USER: /* roles say the rest: errand_allowed */
        return true;
    case PKI_ROLE_NODE:
        return (e->flags & METHOD_NODE) != 0;
    case PKI_ROLE_NONE:
        return (e->flags & METHOD_ANON) != 0;
    }
    return false;
}

/* The certificate's time is over, and this is not what it is let in for. */
static void fail_expired(struct errand *e)
{
    struct error err = {0};
    error_set_field(&err, ERR_UNAUTHORIZED, "cert.renew",
                    e->who->role == PKI_ROLE_NODE
                        ? "the certificate of node %s has expired: it may call cert.renew, nothing else"
                        : "the certificate of master %s has expired: the masters renew theirs among each other",
                    e->who->name);
    errand_fail(e, &err);
}

bool errand_may(struct errand *e)
{
    if (!role_may(e)) {
        if (e->who->role == PKI_ROLE_NONE) {
            errand_failf(e, ERR_UNAUTHORIZED, "%.*s needs a client certificate; this connection has none",
                         STR_ARG(e->name));
        } else {
            errand_failf(e, ERR_FORBIDDEN, "node \"%s\" may not call %.*s", e->who->name, STR_ARG(e->name));
        }
        return false;
    }
    if (e->who->as != NULL && (e->flags & METHOD_OPEN)) {
        errand_failf(e, ERR_FORBIDDEN, "%.*s is about whoever asks: it cannot be asked as somebody else",
                     STR_ARG(e->name));
        return false;
    }
    struct session *s = e->front->session(e);
    if (s != NULL && s->expired && !(e->flags & METHOD_LATE)) {
        fail_expired(e);
        return false;
    }
    const struct principal *asker = principal_asker(e->who); /* whoever it asks as, a removed master is removed */
    uint64_t master_id = asker->role == PKI_ROLE_MASTER ? strtoull(asker->name, NULL, 10) : 0;
    if (master_id != 0 && !(e->flags & METHOD_REMOVED) && members_removed(e->api.m, master_id)) {
        errand_failf(e, ERR_FORBIDDEN,
                     "master %" PRIu64 " was removed from the cluster; its certificate is good for nothing", master_id);
        return false;
    }
    return true;
}

/* A write is judged on the tip that it changes, and refused by what is on it when that is committed. */
static void refuse(struct errand *e, bool on_tip, const struct error *err)
{
    e->api.m->stats.forbidden++;
    if (on_tip && (e->flags & METHOD_TYPED)) {
        api_refuse(&e->api, err);
    } else {
        errand_fail(e, err);
    }
}

bool errand_allowed(struct errand *e, struct api_request *q)
{
    const struct master *m = e->api.m;
    bool asks_as = e->who->as != NULL && (q != NULL || !(e->flags & METHOD_TYPED));
    if (access_is_master(e->who) ||
        (q == NULL && !asks_as && (e->flags & (METHOD_OPEN | METHOD_ANON | METHOD_TYPED))) ||
        (q == NULL && e->who->role == PKI_ROLE_NODE)) { /* an agent's own requests, each of which asks whose it is */
        return true;
    }
    const struct store *store = replica_store(m->replica);
    bool on_tip = (e->flags & METHOD_WRITE) && replica_leading(m->replica) && store_tip(store) != NULL;
    const struct view *v = on_tip ? store_tip(store) : store_committed(store);
    struct error err = {0};
    int rv = asks_as ? impersonate_check(v, e->who, &err) : 0;
    if (rv != 0) {
        /* nothing else is told him */
    } else if (q != NULL) {
        rv = access_request(&e->api, v, q, &err);
    } else {
        struct str ns = STR_NONE, name = STR_NONE;
        const char *access = e->front->access == NULL ? NULL : e->front->access(e, &ns, &name);
        rv = access_other(v, e->who, e->name, access, (e->flags & (METHOD_WRITE | METHOD_STREAM)) != 0, ns, name, &err);
    }
    if (rv != 0) {
        refuse(e, on_tip, &err);
    }
    return rv == 0;
}

bool errand_count(struct errand *e, size_t n)
{
    struct master *m = e->api.m;
    struct session *s = e->front->session(e);
    size_t *account = s != NULL ? &s->request_bytes : NULL;
    if (e->forwarded && errand_subject(e) != NULL) { /* not the other master's: whom it speaks for */
        account = &e->subject->forwarded_bytes;
    }
    size_t here = account == NULL ? 0 : *account;
    uint64_t all_max = MIN((uint64_t)MASTER_REQUEST_BYTES_MAX, m->held.max / 2),
             here_max = MIN((uint64_t)MASTER_SESSION_BYTES_MAX, all_max);
    if (here + n > here_max || m->request_bytes + n > all_max) {
        m->stats.refused_bytes++;
        errand_failf(e, ERR_BUSY,
                     "%.*s: requests that wait for their answers have %zu bytes on this connection (at most %" PRIu64
                     ") and %zu in "
                     "all (at most %" PRIu64 "); nothing was done; send again when some are answered",
                     STR_ARG(e->name), here, here_max, m->request_bytes, all_max);
        return false;
    }
    e->counted_bytes = n;
    m->request_bytes += n;
    if (account != NULL) {
        *account += n;
    }
    return true;
}

#define MADE_SMALL (16u << 10) /* what is less is what every request takes in its turn */

bool errand_count_made(struct errand *e)
{
    if (e->arena.total_bytes <= MADE_SMALL) {
        return true;
    }
    errand_uncount(e);
    return errand_count(e, e->taken_bytes + e->arena.total_bytes);
}

bool errand_take_in(struct errand *e, size_t bytes)
{
    e->taken_bytes = bytes;
    return rate_takes(e) && errand_count(e, bytes);
}
