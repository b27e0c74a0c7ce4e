/* cert.reseal, cert.resealing: what administrators say of the replacement of the key that seals, and see of it. */
#include <stdio.h>

#include "base/failpoint.h"
#include "master/auth/reseal_int.h"

/* The id of the key that seals. */
static void current(const struct master *m, char out[PKI_RING_ID_SIZE])
{
    pki_ring_id(pki_ring_sealing(&m->seal_keys), out);
}

static void answer(struct call *c, bool begun)
{
    struct master *m = c->m;
    CLEANUP_BUF struct buf b = BUF_INIT;
    char id[PKI_RING_ID_SIZE];
    current(m, id);
    mp_write_map(&b, 2 + reseal_under_way(m));
    mp_write_key_str(&b, "key", str_of(id));
    mp_write_key_bool(&b, "begun", begun);
    reseal_write(m, &b);
    call_reply(c, &b);
}

static void method_cert_resealing(struct call *c)
{
    answer(c, false);
}

const struct method request_cert_resealing = {"cert.resealing", method_cert_resealing, METHOD_WRITE | METHOD_AGAIN, ""};

static void noted(const struct txn_result *result, const struct error *error, void *data)
{
    struct call *c = data;
    (void)result;
    if (error != NULL) {
        call_fail(c, error);
    } else {
        log_info(&c->m->log, "reseal", "user \"%s\" replaces the key that seals Secrets", c->e.who.name);
        answer(c, true);
    }
}

/* The first record, with the new key's id, or the same with finish. A key that was made for a record that is then
 * refused stays in seal.key, is not used, and goes with the next replacement. */
static int plan(struct call *c, struct txn *t, struct error *err)
{
    struct master *m = c->m;
    struct reseal_record next = m->reseal->record;
    int rv = 0;
    if (next.phase == RESEAL_NONE) {
        next.phase = RESEAL_SPREAD;
        current(m, next.seals);
        timefmt_rfc3339(env_wall_ms(m->env), next.since);
        rv = reseal_make_next(m, &next, err);
    }
    next.finish = next.finish || mp_bool(mp_get(c->params.all, "finish"), false);
    if (rv == 0 && failpoint(FAILPOINT_reseal_after_key)) {
        rv = error_set(err, ERR_IO, "replace the key that seals: failed by a failpoint");
    }
    return rv == 0 ? reseal_write_record(m, t, &next, err) : rv;
}

/* With `replaces` a repetition does not replace the key that the first request has brought. */
static void method_cert_reseal(struct call *c)
{
    struct master *m = c->m;
    struct reseal *r = m->reseal;
    struct str replaces;
    char id[PKI_RING_ID_SIZE];
    struct error err = {0};
    bool finish = mp_bool(mp_get(c->params.all, "finish"), false), none = r->record.phase == RESEAL_NONE;
    if (!call_str(c, "replaces", &replaces, false)) {
        return;
    }
    if (c->e.who.role == PKI_ROLE_NODE) {
        call_failf(c, ERR_FORBIDDEN, "cert.reseal is for administrators");
        return;
    }
    current(m, id);
    const struct object *o = reseal_record_in(store_tip(replica_store(m->replica)));
    if (r->writing || (o == NULL ? 0 : o->revision) != r->revision) {
        call_failf(c, ERR_BUSY, "the replacement of the key that seals is just taking a step; try again");
        return;
    }
    if ((none && (finish || (replaces.n > 0 && !str_is(replaces, id)))) || (!none && !finish)) {
        answer(c, false); /* it is done, or under way */
        return;
    }
    struct txn t;
    txn_init(&t, "reseal");
    if (plan(c, &t, &err) != 0) {
        call_fail(c, &err);
    } else {
        replica_submit(m->replica, &t, noted, c, NULL); /* a refusal comes by the callback as well */
        master_wake(m);
    }
    txn_close(&t);
}

const struct method request_cert_reseal = {"cert.reseal", method_cert_reseal, METHOD_WRITE | METHOD_AGAIN,
                                           "replaces finish"};
