/* cert.rotate, cert.rotation: what administrators say of the rotation of the CA, and see of it. */
#include <stdlib.h>

#include "master/auth/authority.h"
#include "master/auth/rotate_int.h"

/* The CA that counts, or is being replaced. */
static const char *current(struct master *m, char out[33])
{
    const struct rotate *r = m->rotate;
    if (pki_cert_fingerprint(r->phase == ROTATE_NONE ? m->ca_pem : r->ca_pem, out, NULL) != 0) {
        out[0] = '\0';
    }
    return out;
}

static void answer(struct call *c, bool begun)
{
    struct master *m = c->m;
    CLEANUP_BUF struct buf b = BUF_INIT;
    char ca[33];
    mp_write_map(&b, 2 + rotate_under_way(m));
    mp_write_key_str(&b, "ca", str_of(current(m, ca)));
    mp_write_key_bool(&b, "begun", begun);
    rotate_write(m, &b);
    call_reply(c, &b);
}

static void method_cert_rotation(struct call *c)
{
    answer(c, false);
}

const struct method request_cert_rotation = {"cert.rotation", method_cert_rotation, METHOD_WRITE | METHOD_AGAIN, ""};

static void noted(const struct txn_result *result, const struct error *error, void *data)
{
    struct call *c = data;
    (void)result;
    if (error != NULL) {
        call_fail(c, error);
    } else {
        log_info(&c->m->log, "rotate", "user \"%s\" replaces the cluster's CA", c->e.who.name);
        answer(c, true);
    }
}

static unsigned count(const char *cas_pem)
{
    unsigned n = 0;
    for (char *ca; (ca = pki_next_cert(&cas_pem)) != NULL; free(ca)) {
        n++;
    }
    return n;
}

/* To the same phase, with other flags, or the first one. */
static int plan(struct call *c, struct txn *t, struct error *err)
{
    struct master *m = c->m;
    const struct rotate *r = m->rotate;
    struct rotate_step step = {.to = r->phase == ROTATE_NONE ? ROTATE_TRUST : r->phase,
                               .finish =
                                   mp_bool(mp_get(c->params.all, "finish"), false) ? ROTATE_FINISH_ALL : r->finish,
                               .hold = mp_bool(mp_get(c->params.all, "hold"), false) || r->hold};
    if (r->phase != ROTATE_NONE) {
        return rotate_write_step(m, t, &step, err);
    }
    char *next = NULL, *key = NULL;
    if (count(m->ca_pem) >= NET_CAS_MAX) {
        return error_set(err, ERR_LIMIT, "the masters trust %u CAs already; take what is not needed out of ca.crt",
                         NET_CAS_MAX);
    }
    int rv = authority_fresh(m, err);
    rv = rv != 0 ? rv : pki_make_ca(m->config.cluster, &next, &key, err);
    if (rv == 0) {
        step.ca_pem = m->ca_pem;
        step.next_pem = next;
        step.next_key = key;
        rv = rotate_write_step(m, t, &step, err);
    }
    free(next);
    pki_free_key(key);
    return rv;
}

/* With `replaces` a repetition does not replace the CA that the first request has brought. */
static void method_cert_rotate(struct call *c)
{
    struct master *m = c->m;
    struct rotate *r = m->rotate;
    struct str replaces;
    char ca[33];
    struct error err = {0};
    if (!call_str(c, "replaces", &replaces, false)) {
        return;
    }
    if (c->e.who.role == PKI_ROLE_NODE) {
        call_failf(c, ERR_FORBIDDEN, "cert.rotate is for administrators");
        return;
    }
    if (replaces.n > 0 && !str_is(replaces, current(m, ca))) {
        answer(c, false);
        return;
    }
    const struct object *o = rotate_record_in(store_tip(replica_store(m->replica)));
    if (r->writing || (o == NULL ? 0 : o->revision) != r->revision) {
        call_failf(c, ERR_BUSY, "the rotation of the CA is just taking a step; try again");
        return;
    }
    if (r->phase == ROTATE_NONE && mp_bool(mp_get(c->params.all, "finish"), false) && replaces.n == 0) {
        answer(c, false); /* nothing to be finished */
        return;
    }
    struct txn t;
    txn_init(&t, "rotate");
    if (plan(c, &t, &err) != 0) {
        call_fail(c, &err);
    } else {
        replica_submit(m->replica, &t, noted, c, NULL); /* a refusal comes by the callback as well */
        master_wake(m);
    }
    txn_close(&t);
}

const struct method request_cert_rotate = {"cert.rotate", method_cert_rotate, METHOD_WRITE | METHOD_AGAIN,
                                           "replaces hold finish"};
