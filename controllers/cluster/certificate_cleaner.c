/* Requests for certificates go when they have been answered for a while, or were never: denied, failed, or issued for
 * an hour; with no condition for a day; with a certificate that has ended. One that was approved and waits for its
 * signer stays. Source: Kubernetes' csrcleaner. Times are what somebody wrote into the conditions: one in the future
 * counts as the time at which the request was made. */
#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/util.h"
#include "proto/facts/signing.h"
#include "proto/pki/pki.h"

#define ANSWERED_MS (INT64_C(3600) * 1000)
#define PENDING_MS  (INT64_C(24) * 3600 * 1000)

static int64_t since_ms(const struct object *o, const char *condition, int64_t wall_ms)
{
    int64_t ms = time_of_mp(mp_get(condition_mp(o, condition), "lastUpdateTime"));
    return ms == 0 || ms > wall_ms ? object_created_ms(o) : ms;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 ? b : MIN(a, b);
}

/* When the certificate ends; 0: nobody can tell. */
static int64_t ends_ms(struct arena *a, struct str pem)
{
    int64_t until_s = 0;
    return pki_cert_info(arena_strndup(a, pem.p, pem.n), NULL, NULL, &until_s, NULL) == 0 ? until_s * 1000 : 0;
}

/* When it is to go; 0: it stays. */
static int64_t goes_ms(const struct reconcile_in *in, struct arena *a, const struct object *o)
{
    static const char *const over[] = {SIGNING_DENIED, SIGNING_FAILED};
    struct str pem = signing_certificate(o);
    int64_t at = 0;
    if (mp_count(mp_get(object_status(o), "conditions")) == 0) {
        at = object_created_ms(o) + PENDING_MS;
    }
    for (size_t i = 0; i < ARRAY_SIZE(over); i++) {
        if (signing_has(o, over[i])) {
            at = earlier(at, since_ms(o, over[i], in->wall_ms) + ANSWERED_MS);
        }
    }
    if (pem.n > 0 && signing_has(o, SIGNING_APPROVED)) {
        int64_t end = ends_ms(a, pem);
        at = earlier(at, since_ms(o, SIGNING_APPROVED, in->wall_ms) + ANSWERED_MS);
        at = end == 0 ? at : MIN(at, end);
    }
    return at;
}

static int cleaner_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    int64_t at_ms = o == NULL || o->deleting ? 0 : goes_ms(in, out->arena, o);
    if (at_ms > in->wall_ms) {
        requeue_in(out, at_ms - in->wall_ms);
    } else if (at_ms != 0) {
        const struct deletion_options how = {.grace_s = -1, .policy = DELETION_BACKGROUND};
        DECIDED(out, REASON_EXPIRED);
        return deletion_request(out->txn, out->arena, o, &how, in->wall_ms, err);
    }
    return 0;
}

static const struct controller_watch watches[] = {{KIND_CERTIFICATESIGNINGREQUEST, map_self}, {0, NULL}};
const struct controller controller_certificate_cleaner = {
    .name = "certificate-cleaner", .watches = watches, .reconcile = cleaner_reconcile};
