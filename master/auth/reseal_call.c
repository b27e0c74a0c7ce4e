/* cert.reseal, cert.resealing: what administrators say of the replacement of the key that seals, and see of it. */
#include "base/failpoint.h"
#include "master/auth/replace.h"
#include "master/auth/reseal_int.h"

/* The id of the key that seals. */
static void current(struct master *m, char out[REPLACE_ID_SIZE])
{
    _Static_assert(REPLACE_ID_SIZE >= PKI_RING_ID_SIZE, "an id fits");
    pki_ring_id(pki_ring_sealing(&m->seal_keys), out);
}

static bool busy(struct master *m)
{
    return m->reseal->writing || replace_unseen(m, reseal_record_in, m->reseal->revision);
}

static bool repeated(struct master *m, const struct replace_request *q, const char *id)
{
    (void)m;
    (void)q;
    (void)id;
    return false; /* only the record tells */
}

/* It is done, or under way. */
static bool settled(struct master *m, const struct replace_request *q, const char *id)
{
    bool none = m->reseal->record.phase == RESEAL_NONE;
    return none ? q->finish || (q->replaces.n > 0 && !str_is(q->replaces, id)) : !q->finish;
}

/* The first record, with the new key's id, or the same with finish. A key that was made for a record that is then
 * refused stays in seal.key, is not used, and goes with the next replacement. */
static int plan(struct master *m, const struct replace_request *q, struct txn *t, struct error *err)
{
    struct reseal_record next = m->reseal->record;
    int rv = 0;
    if (next.phase == RESEAL_NONE) {
        next.phase = RESEAL_SPREAD;
        pki_ring_id(pki_ring_sealing(&m->seal_keys), next.seals);
        timefmt_rfc3339(env_wall_ms(m->env), next.since);
        rv = reseal_make_next(m, &next, err);
    }
    next.finish = next.finish || q->finish;
    if (rv == 0 && failpoint(FAILPOINT_reseal_after_key)) {
        rv = error_set(err, ERR_IO, "replace the key that seals: failed by a failpoint");
    }
    return rv == 0 ? reseal_write_record(m, t, &next, err) : rv;
}

static const struct replacement resealing = {
    .request = "cert.reseal",
    .member = "key",
    .what = "the replacement of the key that seals",
    .log = "reseal",
    .done = "the key that seals Secrets",
    .current = current,
    .under_way = reseal_under_way,
    .write = reseal_write,
    .busy = busy,
    .repeated = repeated,
    .settled = settled,
    .plan = plan,
};

static void method_cert_resealing(struct call *c)
{
    replace_tell(c, &resealing);
}

const struct method request_cert_resealing = {"cert.resealing", method_cert_resealing, METHOD_WRITE | METHOD_AGAIN, ""};

static void method_cert_reseal(struct call *c)
{
    replace_ask(c, &resealing);
}

const struct method request_cert_reseal = {"cert.reseal", method_cert_reseal, METHOD_WRITE | METHOD_AGAIN,
                                           "replaces finish"};
