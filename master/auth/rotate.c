/* The record, and what each master does about it. The leader's part: rotate_lead.c. */
#include "master/auth/rotate_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/timefmt.h"
#include "master/auth/authority.h"
#include "master/auth/identity.h"
#include "master/auth/revoked.h"
#include "proto/facts/configdata.h"

#define RECORD_NS   STR("kube-system")
#define RECORD_NAME STR("reeve-ca")
#define KEY_NAME    STR("reeve-ca-next")

const char *const rotate_phases[] = {"", "trust", "sign", "switch"};
const char *const rotate_finishes[] = {"", "masters", "true"};

/* ---- Life ---- */

struct rotate *rotate_new(void)
{
    struct rotate *r = xcalloc(1, sizeof *r);
    r->poll.method = "ca.state";
    r->poll.answered = rotate_answered;
    return r;
}

static void forget_record(struct rotate *r)
{
    free(TAKE_PTR(r->ca_pem));
    free(TAKE_PTR(r->next_pem));
    r->phase = ROTATE_NONE;
    r->next[0] = r->since[0] = '\0';
    r->hold = false;
    r->finish = ROTATE_FINISH_NOBODY;
}

void rotate_free(struct rotate *r)
{
    if (r != NULL) {
        forget_record(r);
        poll_wait_for_nobody(&r->poll);
        free(r);
    }
}

/* ---- The record ---- */

const struct object *rotate_record_in(const struct view *v)
{
    return view_get(v, kind_by_id(KIND_CONFIGMAP), RECORD_NS, RECORD_NAME);
}

const struct object *rotate_key_in(const struct view *v)
{
    return view_get(v, kind_by_id(KIND_SECRET), RECORD_NS, KEY_NAME);
}

bool rotate_is_record(const struct object *o)
{
    return str_eq(o->ns, RECORD_NS) && ((o->kind->id == KIND_CONFIGMAP && str_eq(o->name, RECORD_NAME)) ||
                                        (o->kind->id == KIND_SECRET && str_eq(o->name, KEY_NAME)));
}

static char *text_of(const struct object *o, const char *key)
{
    struct str s = configdata_text(o, key);
    return s.n == 0 || s.n > PKI_PEM_MAX ? NULL : xstrndup(s.p, s.n);
}

static enum rotate_phase phase_of(struct str word)
{
    for (int i = ROTATE_TRUST; i <= ROTATE_SWITCH; i++) {
        if (str_is(word, rotate_phases[i])) {
            return (enum rotate_phase)i;
        }
    }
    return ROTATE_NONE;
}

static enum rotate_finish finish_of(struct str word)
{
    return str_is(word, rotate_finishes[ROTATE_FINISH_ALL])       ? ROTATE_FINISH_ALL
           : str_is(word, rotate_finishes[ROTATE_FINISH_MASTERS]) ? ROTATE_FINISH_MASTERS
                                                                  : ROTATE_FINISH_NOBODY;
}

/* A record that makes no sense (anybody with the right may edit it) is none: what is trusted stays as it is. */
static void take_in(struct master *m, const struct object *o)
{
    struct rotate *r = m->rotate;
    enum rotate_phase before = r->phase;
    char print[33];
    forget_record(r);
    r->revision = o == NULL ? 0 : o->revision;
    r->done = o == NULL;
    r->complained = false;
    if (o == NULL) {
        return;
    }
    r->ca_pem = text_of(o, "ca");
    r->next_pem = text_of(o, "next");
    r->phase = r->next_pem == NULL ? ROTATE_NONE : phase_of(configdata_text(o, "phase"));
    snprintf(r->since, sizeof r->since, "%.*s", STR_ARG(configdata_text(o, "since")));
    r->hold = str_is(configdata_text(o, "hold"), "true");
    r->finish = finish_of(configdata_text(o, "finish"));
    bool sound = r->ca_pem != NULL && pki_cert_fingerprint(r->ca_pem, print, NULL) == 0 &&
                 (r->phase == ROTATE_NONE || pki_cert_fingerprint(r->next_pem, r->next, NULL) == 0);
    if (!sound) {
        log_error(&m->log, "rotate",
                  "ConfigMap kube-system/reeve-ca is damaged: its \"ca\" or \"next\" is no "
                  "certificate; the CAs that are trusted stay as they are");
        forget_record(r);
        r->done = true;
        return;
    }
    if (before != r->phase) {
        poll_restart(&r->poll);
        memset(r->reports, 0, sizeof r->reports);
        m->identity.failures = 0; /* what failed of the former phase may work now */
        if (r->phase == ROTATE_NONE || before == ROTATE_NONE) {
            memset(r->seen, 0, sizeof r->seen);
        }
        log_info(&m->log, "rotate", "the cluster's CA is being replaced: %s",
                 r->phase == ROTATE_NONE    ? "done; the old one counts no more"
                 : r->phase == ROTATE_TRUST ? "masters begin to trust the new one"
                 : r->phase == ROTATE_SIGN  ? "nodes and users get certificates of the new one"
                                            : "masters get certificates of the new one");
    }
}

/* ---- Writing it ---- */

static struct value *document(struct arena *a, const char *kind, struct str name)
{
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, kind));
    value_set(a, doc, "metadata", metadata);
    value_set(a, metadata, "name", value_str(a, name));
    value_set(a, metadata, "namespace", value_str(a, RECORD_NS));
    return doc;
}

/* "": the key is not there. */
static void set_word(struct arena *a, struct value *data, const char *key, const char *word)
{
    value_remove_str_key(data, str_of(key));
    if (word[0] != '\0') {
        value_set(a, data, key, value_cstr(a, word));
    }
}

int rotate_write_step(struct master *m, struct txn *t, const struct rotate_step *step, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    const struct view *tip = store_tip(replica_store(m->replica));
    const struct object *old = rotate_record_in(tip);
    struct value *doc = old == NULL ? document(&a, "ConfigMap", RECORD_NAME) : object_to_value(&a, old);
    struct value *data = value_ensure_map(&a, doc, "data");
    bool same = old != NULL && str_is(configdata_text(old, "phase"), rotate_phases[step->to]);
    char date[TIMEFMT_SIZE];
    int rv = 0;
    timefmt_rfc3339(env_wall_ms(m->env), date);
    if (step->ca_pem != NULL) {
        value_set(&a, data, "ca", value_cstr(&a, step->ca_pem));
    }
    if (step->next_pem != NULL) {
        value_set(&a, data, "next", value_cstr(&a, step->next_pem));
        rv = authority_add_key(m, t, step->next_pem, step->next_key, err);
    }
    if (step->to == ROTATE_NONE) {
        value_remove_str_key(data, STR("next"));
        rv = authority_keep_key(m, t, step->ca_pem, err);
    }
    value_set(&a, data, "phase", value_cstr(&a, rotate_phases[step->to]));
    if (!same) {
        value_set(&a, data, "since", value_cstr(&a, date));
    }
    set_word(&a, data, "hold", step->hold ? "true" : "");
    set_word(&a, data, "finish", rotate_finishes[step->finish]);
    return rv != 0       ? rv
           : old == NULL ? txn_create_value(t, k, doc, err)
                         : txn_update_value(t, k, doc, TXN_PART_ALL, old->revision, err);
}

/* ---- Carrying it out ---- */

static char *wanted_cas(const struct rotate *r)
{
    switch (r->phase) {
    case ROTATE_TRUST:
    case ROTATE_SIGN:
        return xasprintf("%s%s", r->ca_pem, r->next_pem);
    case ROTATE_SWITCH:
        return xasprintf("%s%s", r->next_pem, r->ca_pem);
    case ROTATE_NONE:
        break;
    }
    return xstrdup(r->ca_pem);
}

static int write_file(struct master *m, const char *file, const char *text, unsigned mode, struct error *err)
{
    char path[600];
    master_config_path(&m->config, file, path, sizeof path);
    return pki_write_file(path, text, strlen(text), mode, err);
}

static void note_trust(struct master *m)
{
    struct rotate *r = m->rotate;
    char digest[PKI_STANDING_SIZE];
    r->standing[0] = '\0';
    if (pki_cert_fingerprint(m->ca_pem, r->first, NULL) != 0) {
        r->first[0] = '\0';
        return;
    }
    pki_standing_text(r->phase == ROTATE_SIGN ? r->next : r->first, rotate_trust(m), digest);
    snprintf(r->standing, sizeof r->standing, "%s", digest);
}

/* The CAs into the file and into use. Fails without harm: it is tried again. */
static int carry_out(struct master *m, struct error *err)
{
    struct rotate *r = m->rotate;
    char own[33];
    CLEANUP_FREE char *cas = wanted_cas(r);
    if (strcmp(cas, m->ca_pem) == 0) {
        return 0;
    }
    if (pki_issuer(cas, m->identity.cert_pem, own, NULL) != 0) {
        return error_set(err, ERR_INVALID,
                         "this master missed the replacement of the cluster's CA: its certificate is of the old one, "
                         "which counts no more. Remove this master (rctl master remove) and let it join anew in an "
                         "empty directory (rctl master add)");
    }
    if (failpoint(FAILPOINT_rotate_before_cas)) {
        return error_set(err, ERR_IO, "write ca.crt: failed by a failpoint");
    }
    int rv = write_file(m, "ca.crt", cas, 0644, err);
    if (rv == 0 && failpoint(FAILPOINT_rotate_after_cas)) {
        return error_set(err, ERR_IO, "failed by a failpoint");
    }
    return rv != 0 ? rv : identity_set_trust(m, cas, err);
}

static bool peer_is_distrusted(void *data, uint64_t id, const struct pki_facts *facts)
{
    (void)id;
    return rotate_distrusts(data, facts);
}

/* A master that starts sees the record in its snapshot first, then those in its log: rotations that it has long carried
 * out. It must not trust a CA again that was dropped, nor take itself for one that missed a rotation. So nothing is
 * done before it has applied what its log held at the start. */
static bool is_behind(struct master *m)
{
    struct rotate *r = m->rotate;
    struct replica_stats stats;
    if (r->caught_up) {
        return false;
    }
    replica_stats(m->replica, &stats);
    r->log_end = r->log_end == 0 ? stats.last_index : r->log_end;
    r->caught_up = stats.applied_index >= r->log_end;
    return !r->caught_up;
}

static void do_it(struct master *m)
{
    struct rotate *r = m->rotate;
    struct error err = {0};
    if (r->done || r->ca_pem == NULL || m->stopping || is_behind(m)) {
        return;
    }
    if (carry_out(m, &err) == 0) {
        r->done = true;
        note_trust(m);
        if (r->phase == ROTATE_NONE) {
            revoked_close_sessions(m);
            transport_end_sessions(m->transport, peer_is_distrusted, m);
        }
    } else if (!r->complained) {
        r->complained = true;
        log_error(&m->log, "rotate", "replacing the cluster's CA: %s", err.message);
    }
}

void rotate_advance(struct master *m)
{
    const struct view *v = store_committed(replica_store(m->replica));
    const struct object *o = rotate_record_in(v);
    struct rotate *r = m->rotate;
    if ((o == NULL ? 0 : o->revision) != r->revision) {
        take_in(m, o);
        do_it(m);
        note_trust(m);
    }
}

void rotate_restart(struct master *m)
{
    struct rotate *r = m->rotate;
    r->done = r->revision == 0;
    note_trust(m);
}

void rotate_tick(struct master *m)
{
    do_it(m);
    if (replica_leading(m->replica)) {
        rotate_lead(m);
    }
}

/* ---- What others ask ---- */

const char *rotate_trust(const struct master *m)
{
    return m->rotate->phase == ROTATE_TRUST ? m->rotate->ca_pem : m->ca_pem;
}

const char *rotate_standing(const struct master *m)
{
    return m->rotate->standing;
}

bool rotate_signer(const struct master *m, enum pki_role role, const char **ca_pem)
{
    const struct rotate *r = m->rotate;
    bool next = r->phase == ROTATE_SIGN && r->done && authority_key(m, r->next_pem) != NULL &&
                (role != PKI_ROLE_MASTER || authority_key(m, r->ca_pem) == NULL);
    if (next) {
        *ca_pem = r->next_pem;
    }
    return next;
}

bool rotate_delays_own(const struct master *m)
{
    const struct rotate *r = m->rotate;
    return (r->phase == ROTATE_TRUST || r->phase == ROTATE_SIGN) && authority_key(m, r->ca_pem) == NULL;
}

const char *rotate_next(const struct master *m)
{
    return m->rotate->phase == ROTATE_NONE ? NULL : m->rotate->next_pem;
}

bool rotate_wants_own(const struct master *m)
{
    const struct rotate *r = m->rotate;
    return r->done && r->phase == ROTATE_SWITCH && strcmp(m->identity.ca, r->next) != 0;
}

bool rotate_distrusts(const struct master *m, const struct pki_facts *facts)
{
    if (facts->ca[0] == '\0' || strcmp(facts->ca, m->rotate->first) == 0) {
        return false;
    }
    char *ca = pki_find_ca(m->ca_pem, facts->ca);
    free(ca);
    return ca == NULL;
}

bool rotate_under_way(const struct master *m)
{
    return m->rotate->phase != ROTATE_NONE;
}

bool rotate_is_old(const struct master *m, const char *ca)
{
    return m->rotate->phase != ROTATE_NONE && ca[0] != '\0' && strcmp(ca, m->rotate->next) != 0;
}
