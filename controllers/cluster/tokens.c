/* Join tokens go when they have expired. Source: Kubernetes' token cleaner. What a token is: master/auth/tokens.h. */
#include "base/timefmt.h"
#include "controllers/registry.h"
#include "controllers/util.h"

#define TOKEN_TYPE "bootstrap.kubernetes.io/token"

static bool is_token(const struct object *o)
{
    return str_is(o->ns, "kube-system") && str_is(mp_str(mp_get(object_mp(o), "type")), TOKEN_TYPE);
}

/* 0: it does not say, or nobody can read it; such a token lets nobody in, and is left for whoever wrote it. */
static int64_t expires_ms(const struct object *token)
{
    struct mp m = mp_get(mp_get(object_mp(token), "data"), "expiration");
    struct str text;
    int64_t ms = 0;
    return mp_read_bin(&m, &text) && timefmt_parse(text, &ms) ? ms : 0;
}

static int tokens_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    (void)err;
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    int64_t until_ms = o == NULL || o->deleting || !is_token(o) ? 0 : expires_ms(o);
    if (until_ms > in->wall_ms) {
        requeue_in(out, until_ms - in->wall_ms);
    } else if (until_ms != 0) {
        DECIDED(out, REASON_EXPIRED);
        txn_delete(out->txn, o);
    }
    return 0;
}

static void map_secret(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data)
{
    (void)tip, (void)old;
    if (now != NULL && is_token(now)) {
        emit(data, now->kind, now->ns, now->name);
    }
}

static const struct controller_watch watches[] = {{KIND_SECRET, map_secret}, {0, NULL}};
const struct controller controller_tokens = {.name = "tokens", .watches = watches, .reconcile = tokens_reconcile};
