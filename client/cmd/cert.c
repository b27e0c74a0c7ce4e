/* rctl cert: the certificates of the cluster, and one's own. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/cmd/cert.h"
#include "client/cmd/cert_follow.h"
#include "client/cmd/common.h"
#include "client/cmd/masters.h"
#include "client/cmd/renew.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

/* ---- cert status: what was found out ---- */

struct cert {
    const char *who, *subject, *state, *error, *serial, *issuer; /* issuer: fingerprint of its CA; "" = not known */
    bool ca, known;                                              /* its life is */
    bool old;                                                    /* of a CA that is being replaced */
    int64_t from_s, until_s;
};
struct certs {
    struct rctl *r;
    struct cert *items;
    unsigned count, cap;
    bool nodes_known;
    struct replacing {
        const char *phase, *since; /* NULL: nothing is under way */
        const char **waiting;      /* whom it waits for, as the leader says */
        unsigned waiting_count;
    } ca, seal; /* the CA; the key that seals */
    struct {
        bool told, by_leader, clear, at_hand; /* at_hand: at the leader */
        int64_t generation, threshold;        /* 0: it is in no parts yet */
        const char *error, *with, *without;   /* ids of masters */
    } key;                                    /* of the CA */
};

static struct cert *add(struct certs *all, const char *who, const char *subject)
{
    if (all->count == all->cap) {
        all->cap = MAX(16u, all->cap * 2);
        all->items = xrealloc(all->items, all->cap * sizeof *all->items);
    }
    struct cert *c = &all->items[all->count++];
    *c = (struct cert){.who = who, .subject = subject, .state = "unknown", .error = "", .serial = "", .issuer = ""};
    return c;
}

static void set_life(struct cert *c, int64_t from_s, int64_t until_s)
{
    c->known = true;
    c->from_s = from_s;
    c->until_s = until_s;
    c->state = pki_state_text(pki_cert_state(c->ca, from_s, until_s, rctl_now_ms() / 1000));
}

/* One of the configuration's: these are shown without any master. */
static void add_local(struct certs *all, const char *who, const char *pem, bool ca)
{
    struct pki_identity id;
    struct pki_facts facts;
    struct arena *a = &all->r->arena;
    int64_t from_s, until_s;
    if (pki_cert_info(pem, &id, &from_s, &until_s, NULL) != 0) {
        add(all, who, "-")->state = "unreadable";
        return;
    }
    struct cert *c = add(all, who, arena_printf(a, "O=reeve:%s CN=%s", ca ? "ca" : "admins", id.name));
    c->ca = ca;
    set_life(c, from_s, until_s);
    if (pki_cert_facts(pem, &facts, NULL) == 0) {
        c->serial = arena_strdup(a, facts.serial);
    }
}

static void add_answered(struct certs *all, const char *who, struct mp m)
{
    struct arena *a = &all->r->arena;
    struct cert *c = add(all, who, cert_text(a, m, "subject"));
    int64_t from_ms, until_ms;
    if (timefmt_parse(mp_str(mp_get(m, "notBefore")), &from_ms) &&
        timefmt_parse(mp_str(mp_get(m, "notAfter")), &until_ms)) {
        set_life(c, from_ms / 1000, until_ms / 1000);
        c->state = cert_text(a, m, "state"); /* by the clock of who told it */
    } else {
        c->state = "unknown (not connected)";
    }
    c->error = cert_text(a, m, "error");
    c->serial = cert_text(a, m, "serial");
    c->issuer = cert_text(a, m, "ca");
    c->old = mp_bool(mp_get(m, "oldCa"), false);
}

/* The CA that counts, as the masters say: what this client trusts may still begin with the former one. */
static void take_ca(struct certs *all, struct mp m)
{
    struct cert *own = &all->items[0];
    int64_t from_ms, until_ms;
    assert(all->count == 1);
    if (timefmt_parse(mp_str(mp_get(m, "notBefore")), &from_ms) &&
        timefmt_parse(mp_str(mp_get(m, "notAfter")), &until_ms) &&
        (from_ms / 1000 != own->from_s || until_ms / 1000 != own->until_s)) {
        all->count = 0;
        add_answered(all, "ca", m);
        all->items[0].ca = true;
    }
}

static void take_replacing(struct arena *a, struct mp told, struct replacing *out)
{
    struct mp waiting = mp_get(told, "waiting");
    if (mp_type(told) != MP_MAP) {
        return;
    }
    out->phase = cert_text(a, told, "phase");
    out->since = cert_text(a, told, "since");
    if (mp_type(waiting) == MP_ARRAY) {
        out->waiting = arena_alloc(a, (mp_count(waiting) + 1) * sizeof *out->waiting);
        out->waiting_count = 0;
        for (struct mp_iter it = mp_iter(waiting); mp_next(&it);) {
            struct str s = mp_str(it.value);
            out->waiting[out->waiting_count++] = arena_strndup(a, s.n == 0 ? "" : s.p, s.n);
        }
    }
}

static void take_rotation(struct certs *all, struct mp answer)
{
    take_replacing(&all->r->arena, mp_get(answer, "rotation"), &all->ca);
    take_replacing(&all->r->arena, mp_get(answer, "resealing"), &all->seal);
}

/* The leader's word counts, another's is better than none. */
static void take_key(struct certs *all, struct mp answer)
{
    struct arena *a = &all->r->arena;
    struct mp key = mp_get(answer, "caKey"), parts = mp_get(key, "parts");
    bool by_leader = mp_type(parts) == MP_ARRAY;
    if (mp_type(key) != MP_MAP || (all->key.told && !by_leader)) {
        return;
    }
    CLEANUP_BUF struct buf with = BUF_INIT, without = BUF_INIT;
    for (struct mp_iter it = mp_iter(parts); by_leader && mp_next(&it);) {
        struct buf *to = mp_bool(mp_get(it.value, "has"), false) ? &with : &without;
        buf_printf(to, "%s%" PRId64, to->size > 0 ? ", " : "", mp_int(mp_get(it.value, "id"), 0));
    }
    all->key.told = true;
    all->key.by_leader = by_leader;
    all->key.clear = mp_bool(mp_get(key, "clear"), false);
    all->key.at_hand = mp_bool(mp_get(key, "atHand"), false);
    all->key.generation = mp_int(mp_get(key, "generation"), 0);
    all->key.threshold = mp_int(mp_get(key, "threshold"), 0);
    all->key.error = cert_text(a, key, "error");
    all->key.with = arena_strdup(a, buf_cstr(&with));
    all->key.without = arena_strdup(a, buf_cstr(&without));
}

static void add_nodes(struct certs *all, struct mp answer)
{
    struct mp nodes = mp_get(answer, "nodes");
    if (mp_type(nodes) != MP_ARRAY) {
        return;
    }
    all->nodes_known = true;
    for (struct mp_iter it = mp_iter(nodes); mp_next(&it);) {
        add_answered(all, arena_printf(&all->r->arena, "node %s", cert_text(&all->r->arena, it.value, "name")),
                     it.value);
    }
}

/* Another master's own word; what it says of nodes is kept for later. */
static void ask_member(struct certs *all, int64_t id, const char *address, struct api_reply *nodes)
{
    struct rctl *r = all->r;
    struct error err = {0};
    struct api *api;
    const char *who = arena_printf(&r->arena, "master %" PRId64, id);
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_new(&r->target, MASTERS_ASK_MS, false, &api, &err);
    if (rc == 0) {
        api_pin(api, address);
        rc = api_read(api, "cert.status", value_map(&r->arena), &reply, &err);
        api_free(api);
    }
    if (rc != 0) {
        struct cert *c = add(all, who, arena_printf(&r->arena, "O=reeve:masters CN=%" PRId64, id));
        c->state = "unknown (no answer)";
        c->error = arena_strdup(&r->arena, err.message);
        return;
    }
    add_answered(all, who, mp_get(reply.result, "own"));
    take_rotation(all, reply.result);
    take_key(all, reply.result);
    if (mp_type(mp_get(reply.result, "nodes")) == MP_ARRAY) {
        api_reply_close(nodes);
        *nodes = reply;
        reply = (struct api_reply){0};
    }
}

static int ask_masters(struct certs *all, struct error *err)
{
    struct rctl *r = all->r;
    CLEANUP_REPLY struct api_reply reply = {0};
    CLEANUP_REPLY struct api_reply nodes = {0};
    int rc = api_read(r->api, "cert.status", value_map(&r->arena), &reply, err);
    if (rc != 0) {
        return rc;
    }
    int64_t asked = mp_int(mp_get(reply.result, "id"), 0);
    take_ca(all, mp_get(reply.result, "ca"));
    take_rotation(all, reply.result);
    take_key(all, reply.result);
    for (struct mp_iter it = mp_iter(mp_get(reply.result, "members")); mp_next(&it);) {
        int64_t id = mp_int(mp_get(it.value, "id"), 0);
        if (id == asked) {
            add_answered(all, arena_printf(&r->arena, "master %" PRId64, id), mp_get(reply.result, "own"));
        } else {
            ask_member(all, id, cert_text(&r->arena, it.value, "address"), &nodes);
        }
    }
    add_nodes(all, reply.result);
    if (!all->nodes_known && nodes.bytes.size > 0) {
        add_nodes(all, nodes.result);
    }
    return 0;
}

/* ---- cert status: how it is shown ---- */

static const char *in_words(struct arena *a, int64_t s)
{
    char age[TIMEFMT_SIZE];
    timefmt_age((s < 0 ? -s : s) * 1000, age);
    return s < 0 ? arena_printf(a, "%s ago", age) : arena_strdup(a, age);
}

static const char *renews(struct arena *a, const struct cert *c)
{
    if (c->ca || !c->known || c->until_s <= rctl_now_ms() / 1000) {
        return c->ca ? "never" : "-";
    }
    int64_t left_s = pki_renew_at_s(c->from_s, c->until_s, 0) - rctl_now_ms() / 1000;
    return left_s <= 0 ? "now" : arena_printf(a, "in %s", in_words(a, left_s));
}

static const char *date(struct arena *a, int64_t s)
{
    char out[TIMEFMT_SIZE];
    timefmt_rfc3339(s * 1000, out);
    return arena_strdup(a, out);
}

static void print_certs(const struct certs *all)
{
    static const char *const head[] = {"WHO", "SUBJECT", "EXPIRES", "IN", "RENEWS", "STATE"};
    enum { COLUMNS = ARRAY_SIZE(head) };
    struct arena *a = &all->r->arena;
    const char **cells = arena_alloc(a, COLUMNS * ((size_t)all->count + 1) * sizeof(*cells));
    memcpy(cells, head, sizeof(head));
    for (unsigned i = 0; i < all->count; i++) {
        const struct cert *c = &all->items[i];
        const char *row[COLUMNS] = {c->who,
                                    c->subject,
                                    c->known ? date(a, c->until_s) : "-",
                                    c->known ? in_words(a, c->until_s - rctl_now_ms() / 1000) : "-",
                                    renews(a, c),
                                    c->old ? arena_printf(a, "%s, old CA", c->state) : c->state};
        memcpy(cells + COLUMNS * ((size_t)i + 1), row, sizeof(row));
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    grid_print(&out, cells, COLUMNS, all->count + 1);
    rctl_write(all->r, &out);
}

static void write_replacing(struct arena *a, struct value *doc, const char *key, const struct replacing *what)
{
    if (what->phase != NULL) {
        struct value *v = value_ensure_map(a, doc, key);
        value_set(a, v, "phase", value_cstr(a, what->phase));
        value_set(a, v, "since", value_cstr(a, what->since));
        struct value *w = value_ensure_list(a, v, "waiting");
        for (unsigned i = 0; i < what->waiting_count; i++) {
            value_append(a, w, value_cstr(a, what->waiting[i]));
        }
    }
}

static void write_certs(const struct certs *all)
{
    struct arena *a = &all->r->arena;
    struct value *doc = value_map(a), *list = value_ensure_list(a, doc, "certificates");
    for (unsigned i = 0; i < all->count; i++) {
        const struct cert *c = &all->items[i];
        struct value *v = value_map(a);
        value_append(a, list, v);
        value_set(a, v, "who", value_cstr(a, c->who));
        value_set(a, v, "subject", value_cstr(a, c->subject));
        if (c->known) {
            value_set(a, v, "notBefore", value_cstr(a, date(a, c->from_s)));
            value_set(a, v, "notAfter", value_cstr(a, date(a, c->until_s)));
        }
        if (c->known && !c->ca) {
            value_set(a, v, "renewBy", value_cstr(a, date(a, pki_renew_at_s(c->from_s, c->until_s, 0))));
        }
        value_set(a, v, "state", value_cstr(a, c->state));
        if (c->serial[0] != '\0') {
            value_set(a, v, "serial", value_cstr(a, c->serial));
        }
        if (c->issuer[0] != '\0') {
            value_set(a, v, "ca", value_cstr(a, c->issuer));
        }
        if (c->old) {
            value_set(a, v, "oldCa", value_bool(a, true));
        }
        if (c->error[0] != '\0') {
            value_set(a, v, "error", value_cstr(a, c->error));
        }
    }
    write_replacing(a, doc, "rotation", &all->ca);
    write_replacing(a, doc, "resealing", &all->seal);
    if (all->key.told) {
        struct value *v = value_ensure_map(a, doc, "caKey");
        if (all->key.generation > 0) {
            value_set(a, v, "generation", value_int(a, all->key.generation));
            value_set(a, v, "threshold", value_int(a, all->key.threshold));
        }
        value_set(a, v, "clear", value_bool(a, all->key.clear));
        if (all->key.by_leader) {
            value_set(a, v, "atHand", value_bool(a, all->key.at_hand));
            value_set(a, v, "parts", value_cstr(a, all->key.with));
            value_set(a, v, "missing", value_cstr(a, all->key.without));
        }
        if (all->key.error[0] != '\0') {
            value_set(a, v, "error", value_cstr(a, all->key.error));
        }
    }
    common_print_form(all->r, doc);
}

static void tell_replacing(struct rctl *r, const char *what, const struct replacing *it)
{
    if (it->phase != NULL) {
        rctl_note(r, "note: %s is being replaced, phase \"%s\" since %s%s", what, it->phase, it->since,
                  it->waiting_count > 0 ? "; waiting for:" : "");
        for (unsigned i = 0; i < it->waiting_count; i++) {
            rctl_note(r, "  %s", it->waiting[i]);
        }
    }
}

/* True: it is not to be had. */
static bool tell_key(const struct certs *all)
{
    struct rctl *r = all->r;
    if (!all->key.told) {
        return false;
    }
    if (all->key.clear) {
        rctl_note(r, "the CA's key lies in clear on masters' disks (ca.key) until all masters can keep it in parts");
    }
    if (all->key.generation > 0 && all->key.by_leader) {
        rctl_note(r,
                  "the CA's key is in parts, generation %" PRId64 ": %" PRId64
                  " of them give it back. Masters with a part: %s%s%s; %s",
                  all->key.generation, all->key.threshold, all->key.with[0] == '\0' ? "(none)" : all->key.with,
                  all->key.without[0] == '\0' ? "" : "; without: ", all->key.without,
                  all->key.at_hand ? "the leader has the key at hand" : "the leader has not got the key at hand");
    } else if (all->key.generation > 0) {
        rctl_note(r, "the CA's key is in parts, generation %" PRId64 ": %" PRId64 " of them give it",
                  all->key.generation, all->key.threshold);
    }
    if (all->key.error[0] != '\0') {
        rctl_note(r, "%s", all->key.error);
    }
    return all->key.error[0] != '\0';
}

/* Notes about what is wrong; true if something needs somebody. */
static bool tell(const struct certs *all)
{
    bool trouble = false;
    for (unsigned i = 0; i < all->count; i++) {
        const struct cert *c = &all->items[i];
        bool late = c->known && (strcmp(c->state, pki_state_text(PKI_STATE_EXPIRING)) == 0 ||
                                 strcmp(c->state, pki_state_text(PKI_STATE_EXPIRED)) == 0);
        trouble = trouble || late;
        if (c->error[0] != '\0') {
            rctl_note(all->r, "%s: %s", c->who, c->error);
        }
    }
    tell_replacing(all->r, "the cluster's CA", &all->ca);
    tell_replacing(all->r, "the key that seals Secrets", &all->seal);
    return tell_key(all) || trouble;
}

static const struct option_row status_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FORM", "json or yaml"},
};

static int run_status(struct rctl *r)
{
    struct error err = {0};
    int code;
    if (!common_form_valid(r, &code)) {
        return code;
    }
    int rc = rctl_connect(r, &err);
    if (!r->config_loaded) {
        return rctl_fail(r, &err);
    }
    struct certs all = {.r = r};
    add_local(&all, "ca", r->target.ca_pem, true);
    rc = rc != 0 ? rc : ask_masters(&all, &err); /* without masters what is known here is shown */
    add_local(&all, "admin (this client)", r->target.cert_pem, false);
    if (opt(r, "output") != NULL) {
        write_certs(&all);
    } else {
        print_certs(&all);
    }
    fflush(r->out);
    bool trouble = tell(&all);
    bool nodes = all.nodes_known;
    free(all.items);
    if (rc != 0) {
        return rctl_fail(r, &err);
    }
    if (!nodes) {
        rctl_note(r, "note: no leader answers, so the certificates of nodes are not known");
    }
    return trouble ? EXIT_FAILED : EXIT_DONE;
}

static const struct command cert_status = {
    .name = "status",
    .usage = "[-o json|yaml]",
    .summary =
        "Certificates of CA, masters, nodes and this client: when they end, when they renew; where the CA's key is",
    .examples = "  rctl cert status\n"
                "  # exit code 1 when one has expired or expires soon\n"
                "  rctl cert status >/dev/null || echo trouble\n",
    .options = status_options,
    .options_count = ARRAY_SIZE(status_options),
    .run = run_status,
    .wordless = true,
};

/* ---- cert renew ---- */

static int run_renew(struct rctl *r)
{
    struct error err = {0};
    int64_t until_s;
    if (r->args.words_count > 0) {
        return rctl_usage(r, "masters and nodes renew their certificates themselves; this renews the client's own");
    }
    if (rctl_connect(r, &err) != 0 || renew_now(r, &until_s, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "The certificate of user \"%s\" in %s is valid until %s.\n", r->target.user, r->config.path,
            date(&r->arena, until_s));
    r->config_loaded = false; /* what is loaded is the old one */
    return EXIT_DONE;
}

static const struct command cert_renew = {
    .name = "renew",
    .usage = "",
    .summary = "Renew this client's certificate now (it is done by itself at two thirds of its life)",
    .examples = "  rctl cert renew\n"
                "  rctl cert renew --config other/config\n",
    .run = run_renew,
};
static const struct command *const cert_subs[] = {
    &cert_status,    &cert_renew,       &cert_revoke,        &cert_revoked,
    &cert_rotate_ca, &cert_rotate_seal, &cert_rotate_tokens, NULL};
const struct command command_cert = {
    .name = "cert",
    .usage = "status|renew|revoke|revoked|rotate-ca|rotate-seal|rotate-tokens",
    .summary = "Certificates: who has which, until when, and whose count no more",
    .examples = "  rctl cert status\n"
                "  rctl cert renew\n"
                "  rctl cert revoke user/kate\n"
                "  rctl cert rotate-ca\n"
                "  rctl cert rotate-seal\n",
    .subs = cert_subs,
};
