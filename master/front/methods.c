/* The table of requests over msgpack-RPC, and what other masters ask. */
#include "master/front/methods.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "master/auth/authority.h"
#include "master/auth/reseal.h"
#include "master/auth/rotate.h"
#include "master/members/join.h"
#include "master/members/level.h"
#include "master/members/members.h"
#include "master/nodes/batch.h"
#include "master/nodes/lease.h"
#include "master/nodes/nodes.h"

static const struct method *const methods[] = {
#define X(name) &request_##name,
    METHODS(X)
#undef X
};

static const struct method *find(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        if (str_is(name, methods[i]->name)) {
            return methods[i];
        }
    }
    return NULL;
}

/* ---- Dispatch ---- */

/* What another master forwards it has read already. False: failed. */
static bool becomes(struct call *c)
{
    struct mp as = call_param(c, AS_PARAM);
    struct impersonate_wish wish;
    struct error err = {0};
    if (mp_type(as) == MP_NONE || c->e.who->as != NULL) {
        return true;
    }
    if (impersonate_read(as, &wish, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    return errand_become(&c->e, &wish);
}

/* "did you mean": the nearest method name. */
static const char *nearest(struct str name)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        unsigned d = name_distance(name, str_of(methods[i]->name));
        if (d < best_distance) {
            best = methods[i]->name;
            best_distance = d;
        }
    }
    return best;
}

static bool params_known(struct call *c)
{
    if (mp_type(c->params.all) != MP_MAP) {
        c->m->stats.bad_params++;
        call_failf(c, ERR_USAGE, "%.*s: params must be one map", STR_ARG(c->method));
        return false;
    }
    for (struct mp_iter it = mp_iter(c->params.all); mp_next(&it);) {
        if (!str_is_among(it.key, c->row->params) && !str_is(it.key, TIMEOUT_PARAM) && !str_is(it.key, AS_PARAM)) {
            c->m->stats.bad_params++;
            call_failf(c, ERR_USAGE, "%.*s: unknown parameter \"%.*s\"; known are: %s", STR_ARG(c->method),
                       STR_ARG(it.key), c->row->params);
            return false;
        }
    }
    return true;
}

void master_dispatch(struct master *m, struct principal *who, struct rpc_request *req, struct str method,
                     struct mp params)
{
    m->stats.requests++;
    struct call *c = call_new(m, req, who, method, params);
    c->e.forwarded = who->forwarded_by != 0;
    if (errand_revoked(&c->e)) {
        return;
    }
    const struct method *row = find(method);
    if (row == NULL) {
        const char *near = nearest(method);
        call_failf(c, ERR_UNSUPPORTED, "unknown method \"%.*s\"%s%s%s", STR_ARG(method),
                   near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near, near == NULL ? "" : "\"?");
        return;
    }
    call_set_row(c, row);
    if (becomes(c) && errand_may(&c->e) && params_known(c) && errand_take_in(&c->e, call_bytes(c)) &&
        (row != &request_join || join_may_try(c))) {
        errand_start(&c->e, mp_int(call_param(c, TIMEOUT_PARAM), MASTER_WAIT_MS));
    }
}

static void index_answered(uint64_t index, const struct error *error, void *data)
{
    struct rpc_request *req = data;
    if (error != NULL) {
        rpc_reply_error(req, error);
        return;
    }
    struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "index", (int64_t)index);
    rpc_reply(req, buf_str(&b));
    buf_close(&b);
}

/* What other masters ask: they have authenticated their client and vouch for its identity. */
void master_on_peer_request(void *data, uint64_t peer_id, struct rpc_request *req, struct str method, struct mp params)
{
    struct master *m = data;
    params = rpc_request_params(req); /* the request's own copies live until the answer */
    method = rpc_request_method(req);
    if (str_is(method, "read.index")) {
        replica_read_index(m->replica, index_answered, req);
    } else if (str_is(method, "ca.state")) {
        rotate_tell(m, req);
    } else if (str_is(method, "seal.state")) {
        reseal_tell(m, req);
    } else if (str_is(method, "seal.key")) {
        reseal_give(m, req, params);
    } else if (authority_on_request(m, peer_id, req, method, params)) {
        /* answered */
    } else if (str_is(method, "about")) {
        level_tell(req);
    } else if (str_is(method, "nodes.heard")) {
        nodes_tell_heard(m, req);
    } else if (str_is(method, "nodes.lease") && !failpoint(FAILPOINT_lease_unknown)) { /* as former releases */
        lease_tell(m, peer_id, req, params);
    } else if (str_is(method, "nodes.reports")) {
        batch_tell(m, peer_id, req);
    } else if (str_is(method, "forward")) {
        struct principal who;
        struct error err = {0};
        if (principal_read(mp_get(params, "identity"), peer_id, &who, &err) != 0) {
            rpc_reply_error(req, &err);
            return;
        }
        struct principal *shared = principal_share(&who);
        master_dispatch(m, shared, req, mp_str(mp_get(params, "method")), mp_get(params, "params"));
        principal_unref(shared);
    } else if (str_is(method, "announce")) {
        struct pki_identity peer = {.role = PKI_ROLE_MASTER};
        struct principal who;
        snprintf(peer.name, sizeof peer.name, "%llu", (unsigned long long)peer_id);
        principal_of_certificate(&who, &peer, NULL);
        struct principal *shared = principal_share(&who);
        struct call *c = call_new(m, req, shared, method, params);
        principal_unref(shared);
        c->e.forwarded = true; /* not on a session of ours */
        if (!replica_leading(m->replica)) {
            errand_not_leader(&c->e);
        } else {
            method_announce(c);
        }
    } else {
        struct error err = {0};
        error_set(&err, ERR_UNSUPPORTED, "unknown method \"%.*s\" between masters", STR_ARG(method));
        rpc_reply_error(req, &err);
    }
}
