/* cert.rotate, cert.rotation: what administrators say of the rotation of the CA, and see of it. */
#include <stdlib.h>

#include "master/auth/authority.h"
#include "master/auth/replace.h"
#include "master/auth/rotate_int.h"

/* The CA that counts, or is being replaced. */
static void current(struct master *m, char out[REPLACE_ID_SIZE])
{
    _Static_assert(REPLACE_ID_SIZE >= 33, "a fingerprint fits");
    const struct rotate *r = m->rotate;
    if (pki_cert_fingerprint(r->phase == ROTATE_NONE ? m->ca_pem : r->ca_pem, out, NULL) != 0) {
        out[0] = '\0';
    }
}

static bool busy(struct master *m)
{
    return m->rotate->writing || replace_unseen(m, rotate_record_in, m->rotate->revision);
}

static bool repeated(struct master *m, const struct replace_request *q, const char *ca)
{
    (void)m;
    return q->replaces.n > 0 && !str_is(q->replaces, ca);
}

/* Nothing to be finished. */
static bool settled(struct master *m, const struct replace_request *q, const char *ca)
{
    (void)ca;
    return m->rotate->phase == ROTATE_NONE && q->finish && q->replaces.n == 0;
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
static int plan(struct master *m, const struct replace_request *q, struct txn *t, struct error *err)
{
    const struct rotate *r = m->rotate;
    struct rotate_step step = {.to = r->phase == ROTATE_NONE ? ROTATE_TRUST : r->phase,
                               .finish = q->finish ? ROTATE_FINISH_ALL : r->finish,
                               .hold = q->hold || r->hold};
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

static const struct replacement rotation = {
    .request = "cert.rotate",
    .member = "ca",
    .what = "the rotation of the CA",
    .log = "rotate",
    .done = "the cluster's CA",
    .current = current,
    .under_way = rotate_under_way,
    .write = rotate_write,
    .busy = busy,
    .repeated = repeated,
    .settled = settled,
    .plan = plan,
};

static void method_cert_rotation(struct call *c)
{
    replace_tell(c, &rotation);
}

const struct method request_cert_rotation = {"cert.rotation", method_cert_rotation, METHOD_WRITE | METHOD_AGAIN, ""};

static void method_cert_rotate(struct call *c)
{
    replace_ask(c, &rotation);
}

const struct method request_cert_rotate = {"cert.rotate", method_cert_rotate, METHOD_WRITE | METHOD_AGAIN,
                                           "replaces hold finish"};
