#include "master/auth/revoked.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "master/auth/rotate.h"
#include "master/record.h"
#include "proto/facts/configdata.h"

#define LIST_NS   STR("kube-system")
#define LIST_NAME STR("reeve-revoked")
#define KEY_MAX   (PKI_NAME_MAX + 16)

struct line {
    struct str kind, name; /* "node", "admin", "serial" */
    int64_t at_ms, until_s;
};
struct revoked {
    uint64_t revision;   /* of the object that is taken in; 0 = none */
    struct strmap lines; /* "KIND NAME" -> struct line_at */
    int64_t floor_ms;
    int64_t over_s; /* when the first line is over; INT64_MAX without lines */
    bool ahead;     /* the tip may have a newer list */
    bool adding;    /* a transaction that takes lines away is under way */
    bool marked;    /* some sessions may wait to be closed by the chores, which look at none otherwise */
};
struct line_at {
    int64_t at_ms, until_s;
};

/* ---- The text ---- */

static bool word(struct str *text, char end, struct str *out)
{
    const char *p = text->n == 0 ? NULL : memchr(text->p, end, text->n);
    size_t n = p == NULL ? text->n : (size_t)(p - text->p);
    *out = (struct str){text->p, n};
    *text = p == NULL ? (struct str){text->p + text->n, 0} : (struct str){p + 1, text->n - n - 1};
    return n > 0;
}

/* The next line that can be read; false at the end. */
static bool next_line(struct str *text, struct line *out)
{
    struct str line, at, until;
    while (text->n > 0) {
        if (word(text, '\n', &line) && word(&line, ' ', &out->kind) && word(&line, ' ', &at) &&
            word(&line, ' ', &until) && line.n > 0 && line.n <= PKI_NAME_MAX && str_to_int64(at, &out->at_ms) &&
            str_to_int64(until, &out->until_s)) {
            out->name = line;
            return true;
        }
    }
    return false;
}

static void write_line(struct buf *b, const struct line *l)
{
    buf_printf(b, "%.*s %" PRId64 " %" PRId64 " %.*s\n", STR_ARG(l->kind), l->at_ms, l->until_s, STR_ARG(l->name));
}

static struct str key_of(const char *kind, const char *name, char out[KEY_MAX])
{
    int n = snprintf(out, KEY_MAX, "%s %s", kind, name);
    assert(n > 0 && n < KEY_MAX);
    return (struct str){out, (size_t)n};
}

static const struct object *list_in(const struct view *v)
{
    return view_get(v, kind_by_id(KIND_CONFIGMAP), LIST_NS, LIST_NAME);
}

static int64_t floor_of(const struct object *o)
{
    int64_t ms = 0;
    return str_to_int64(configdata_text(o, "floor"), &ms) ? ms : 0;
}

bool revoked_is_list(const struct object *o)
{
    return o->kind->id == KIND_CONFIGMAP && str_eq(o->ns, LIST_NS) && str_eq(o->name, LIST_NAME);
}

/* ---- The index ---- */

static void clear(struct revoked *r)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&r->lines, &cursor)) != NULL) {
        free(e->value);
    }
    strmap_close(&r->lines);
    strmap_init(&r->lines);
    r->floor_ms = 0;
    r->over_s = INT64_MAX;
}

struct revoked *revoked_new(void)
{
    struct revoked *r = xcalloc(1, sizeof *r);
    r->over_s = INT64_MAX;
    strmap_init(&r->lines);
    return r;
}

void revoked_free(struct revoked *r)
{
    if (r != NULL) {
        clear(r);
        strmap_close(&r->lines);
        free(r);
    }
}

static void take_in(struct revoked *r, const struct object *o)
{
    struct str text = configdata_text(o, "list");
    struct line l;
    clear(r);
    r->revision = o == NULL ? 0 : o->revision;
    r->floor_ms = floor_of(o);
    while (next_line(&text, &l)) {
        char key[KEY_MAX];
        int n = snprintf(key, sizeof key, "%.*s %.*s", STR_ARG(l.kind), STR_ARG(l.name));
        if (n > 0 && n < KEY_MAX) {
            struct line_at *at = xcalloc(1, sizeof *at);
            *at = (struct line_at){l.at_ms, l.until_s};
            free(strmap_set(&r->lines, (struct str){key, (size_t)n}, at));
            r->over_s = MIN(r->over_s, l.until_s);
        }
    }
}

static const struct line_at *find(const struct master *m, const char *kind, const char *name)
{
    char key[KEY_MAX];
    return m->revoked->lines.count == 0 ? NULL : strmap_get(&m->revoked->lines, key_of(kind, name, key));
}

static const char *kind_of(enum pki_role role)
{
    return role == PKI_ROLE_NODE ? "node" : role == PKI_ROLE_ADMIN || role == PKI_ROLE_USER ? "admin" : NULL;
}

unsigned revoked_count(const struct master *m)
{
    return (unsigned)m->revoked->lines.count;
}

/* The list on a leader's tip, if it knows more than the index does: what is about to be committed. Looked for only when
 * we have just changed it, since every call asks. */
static const struct object *ahead(const struct master *m)
{
    const struct view *tip =
        m->revoked->ahead && replica_leading(m->replica) ? store_tip(replica_store(m->replica)) : NULL;
    const struct object *o = tip == NULL ? NULL : list_in(tip);
    return o == NULL || o->revision == m->revoked->revision ? NULL : o;
}

/* The line for this key, as new as this master knows it; at_ms 0 if there is none. */
static struct line_at look_up(const struct master *m, const char *kind, const char *name)
{
    const struct line_at *known = kind == NULL ? NULL : find(m, kind, name);
    struct line_at out = known == NULL ? (struct line_at){0} : *known;
    const struct object *o = kind == NULL ? NULL : ahead(m);
    struct str text = configdata_text(o, "list");
    struct line l;
    while (o != NULL && next_line(&text, &l)) {
        if (str_is(l.kind, kind) && str_is(l.name, name)) {
            out = (struct line_at){l.at_ms, l.until_s};
        }
    }
    return out;
}

/* ---- Who is on it ---- */

static const char *advice(enum pki_role role)
{
    return role == PKI_ROLE_NODE    ? "join the node anew with a token (rctl token create, reeve-agent join)"
           : role == PKI_ROLE_ADMIN ? "`reeve-master admin --dir DIR` on a master's machine writes a new client "
                                      "configuration"
           : role == PKI_ROLE_USER  ? "an administrator can make a new one (rctl user add)"
                                    : "start that master anew after removing master.crt and master.key";
}

static bool tell(struct error *err, const struct pki_identity *who, int64_t at_ms, const char *what)
{
    char date[TIMEFMT_SIZE];
    timefmt_rfc3339(at_ms, date);
    if (err != NULL) {
        const char *word = who->role == PKI_ROLE_NODE ? "node" : who->role == PKI_ROLE_MASTER ? "master" : "user";
        error_set_field(err, ERR_UNAUTHORIZED, "certificate", "the certificate of %s \"%s\" %s %s; %s", word, who->name,
                        what, date, advice(who->role));
    }
    return true;
}

bool revoked_has(const struct master *m, const struct pki_identity *who, const struct pki_facts *facts,
                 struct error *err)
{
    const struct revoked *r = m->revoked;
    if (facts->serial[0] == '\0' || who->role == PKI_ROLE_NONE || m->replica == NULL) {
        return false;
    }
    if (rotate_distrusts(m, facts)) {
        if (err != NULL) {
            error_set_field(
                err, ERR_UNAUTHORIZED, "certificate",
                "the certificate of %s \"%s\" is of a CA that was replaced, and counts no more. If there is a newer "
                "one, it is used from now on; if not, %s",
                who->role == PKI_ROLE_NODE     ? "node"
                : who->role == PKI_ROLE_MASTER ? "master"
                                               : "user",
                who->name, advice(who->role));
        }
        return true;
    }
    struct line_at l = look_up(m, "serial", facts->serial);
    if (l.at_ms != 0) {
        return tell(err, who, l.at_ms, "was revoked on");
    }
    l = look_up(m, kind_of(who->role), who->name);
    if (facts->issued_ms < l.at_ms) {
        return tell(err, who, l.at_ms - REVOKED_SKEW_MS,
                    who->role == PKI_ROLE_NODE ? "counts no more: the node was deleted, or its certificate revoked, on"
                                               : "was revoked on");
    }
    return who->role == PKI_ROLE_NODE && facts->issued_ms < r->floor_ms &&
           view_get(store_committed(replica_store(m->replica)), kind_by_id(KIND_NODE), STR_NONE, str_of(who->name)) ==
               NULL &&
           tell(err, who, r->floor_ms, "counts no more, since the cluster has no such node; it was issued before");
}

bool revoked_since(const struct master *m, const struct pki_identity *who, int64_t since_ms)
{
    struct line_at l = look_up(m, kind_of(who->role), who->name);
    return l.at_ms != 0 && l.at_ms - REVOKED_SKEW_MS >= since_ms;
}

int64_t revoked_stamp(const struct master *m, const struct pki_identity *who)
{
    int64_t stamp_ms = MAX(env_wall_ms(m->env), look_up(m, kind_of(who->role), who->name).at_ms);
    const struct object *o = ahead(m);
    int64_t floor_ms = MAX(m->revoked->floor_ms, o == NULL ? 0 : floor_of(o));
    return who->role == PKI_ROLE_NODE ? MAX(stamp_ms, floor_ms) : stamp_ms;
}

/* ---- Changing it ---- */

/* A copy of the list on the tip that is being changed. */
struct edit {
    struct master *m;
    struct arena arena;
    const struct object *old; /* NULL: there is none yet */
    struct buf text;          /* the new lines come last */
    unsigned lines;
    int64_t floor_ms;
    bool changed;
};

static struct value *new_doc(struct arena *a)
{
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "ConfigMap"));
    value_set(a, doc, "metadata", metadata);
    value_set(a, metadata, "name", value_str(a, LIST_NAME));
    value_set(a, metadata, "namespace", value_str(a, LIST_NS));
    return doc;
}

static bool replaced(const struct line *l, const struct line *fresh, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (str_eq(l->kind, fresh[i].kind) && str_eq(l->name, fresh[i].name)) {
            return true;
        }
    }
    return false;
}

/* All lines of the tip that are not over and not replaced. */
static void edit_open(struct edit *e, struct master *m, const struct line *fresh, unsigned count)
{
    int64_t now_s = env_wall_ms(m->env) / 1000;
    *e = (struct edit){.m = m, .text = BUF_INIT};
    arena_init(&e->arena);
    e->old = list_in(store_tip(replica_store(m->replica)));
    e->floor_ms = floor_of(e->old);
    struct str text = configdata_text(e->old, "list");
    struct line l;
    while (next_line(&text, &l)) {
        if (l.until_s <= now_s || replaced(&l, fresh, count)) {
            e->changed = true;
        } else {
            write_line(&e->text, &l);
            e->lines++;
        }
    }
}

static bool is_full(const struct edit *e, unsigned count, size_t bytes)
{
    return e->lines + count > REVOKED_MAX || e->text.size + bytes > REVOKED_BYTES_MAX;
}

/* The lines of nodes go; the floor stands for them: those nodes are no more, or would be the ones that joined anew with
 * a certificate that is newer. What is lost: the old certificate of a node that joined anew counts again. */
static void raise_floor(struct edit *e)
{
    struct buf kept = BUF_INIT;
    struct str text = buf_str(&e->text);
    struct line l;
    unsigned lines = 0;
    while (next_line(&text, &l)) {
        if (str_is(l.kind, "node")) {
            e->floor_ms = MAX(e->floor_ms, l.at_ms);
        } else {
            write_line(&kept, &l);
            lines++;
        }
    }
    log_warn(&e->m->log, "certs",
             "the list of revoked certificates is full: %u lines of nodes make way for a rule, that "
             "such certificates count only while their Node exists",
             e->lines - lines);
    buf_close(&e->text);
    e->text = kept;
    e->lines = lines;
}

static int edit_add(struct edit *e, const struct line *fresh, unsigned count, struct error *err)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += fresh[i].name.n + 64;
    }
    if (is_full(e, count, bytes)) {
        raise_floor(e);
    }
    if (count > 0 && is_full(e, count, bytes) && str_is(fresh[0].kind, "node")) { /* more at once than ever fits */
        for (unsigned i = 0; i < count; i++) {
            e->floor_ms = MAX(e->floor_ms, fresh[i].at_ms);
        }
        e->changed = true;
        return 0;
    }
    if (is_full(e, count, bytes)) {
        return error_set(err, ERR_LIMIT,
                         "the list of revoked certificates is full (%u lines, %u bytes); remove lines that "
                         "are needed no more: rctl edit cm -n kube-system reeve-revoked",
                         REVOKED_MAX, REVOKED_BYTES_MAX);
    }
    for (unsigned i = 0; i < count; i++) {
        write_line(&e->text, &fresh[i]);
    }
    e->changed = e->changed || count > 0;
    return 0;
}

/* Into the transaction, if there is something to change. */
static int edit_put(struct edit *e, struct txn *t, struct error *err)
{
    struct arena *a = &e->arena;
    if (!e->changed) {
        return 0;
    }
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    e->m->revoked->ahead = true;
    struct value *doc = e->old == NULL ? new_doc(a) : object_to_value(a, e->old),
                 *data = value_ensure_map(a, doc, "data");
    value_set(a, data, "list", value_str(a, buf_str(&e->text)));
    if (e->floor_ms > 0) {
        value_set(a, data, "floor", value_strf(a, "%" PRId64, e->floor_ms));
    }
    return e->old == NULL ? txn_create_value(t, k, doc, err) : txn_update_value(t, k, doc, TXN_PART_ALL, 0, err);
}

static void edit_close(struct edit *e)
{
    buf_close(&e->text);
    arena_close(&e->arena);
}

static int change(struct master *m, struct txn *t, const struct line *fresh, unsigned count, struct error *err)
{
    struct edit e;
    edit_open(&e, m, fresh, count);
    int rv = edit_add(&e, fresh, count, err);
    rv = rv != 0 ? rv : edit_put(&e, t, err);
    edit_close(&e);
    return rv;
}

/* Node certificates may be renewed for a while after their end. */
static int64_t until_of(const struct master *m, enum pki_role role, int64_t at_ms)
{
    int64_t life_s = master_config_cert_life_s(&m->config, role);
    return at_ms / 1000 + life_s + (role == PKI_ROLE_NODE ? PKI_EXPIRED_GRACE_S : 0);
}

static bool ends_node(const struct txn_op *op)
{
    return op->kind->id == KIND_NODE &&
           (op->type == TXN_DELETE || (op->type == TXN_UPDATE && op->object != NULL && op->object->deleting));
}

int revoked_add_nodes(struct master *m, struct txn *t, struct error *err)
{
    unsigned count = 0, known = 0;
    for (unsigned i = 0; i < t->count; i++) {
        count += ends_node(&t->ops[i]);
    }
    if (count == 0) {
        return 0;
    }
    struct line *fresh = xcalloc(count, sizeof *fresh);
    int64_t at_ms = env_wall_ms(m->env) + REVOKED_SKEW_MS;
    for (unsigned i = 0; i < t->count; i++) {
        const struct txn_op *op = &t->ops[i];
        if (ends_node(op) && op->name.n <= PKI_NAME_MAX) { /* no certificate bears a longer name */
            fresh[known++] = (struct line){STR("node"), op->name, at_ms, until_of(m, PKI_ROLE_NODE, at_ms)};
        }
    }
    int rv = known == 0 ? 0 : change(m, t, fresh, known, err);
    free(fresh);
    return rv;
}

int revoked_add(struct master *m, struct txn *t, enum pki_role role, struct str name, int64_t *until_s,
                struct error *err)
{
    assert(kind_of(role) != NULL && name.n > 0 && name.n <= PKI_NAME_MAX);
    int64_t at_ms = env_wall_ms(m->env) + REVOKED_SKEW_MS;
    struct line l = {str_of(kind_of(role)), name, at_ms, until_of(m, role, at_ms)};
    *until_s = l.until_s;
    return change(m, t, &l, 1, err);
}

int revoked_add_serial(struct master *m, struct txn *t, struct str serial, int64_t *until_s, struct error *err)
{
    assert(serial.n > 0 && serial.n < PKI_SERIAL_SIZE);
    int64_t now_ms = env_wall_ms(m->env); /* whose it is, is not known: the longest life */
    *until_s = MAX(until_of(m, PKI_ROLE_NODE, now_ms), until_of(m, PKI_ROLE_ADMIN, now_ms));
    return change(m, t, &(struct line){STR("serial"), serial, now_ms, *until_s}, 1, err);
}

unsigned revoked_each(const struct master *m, revoked_each_cb *each, void *data)
{
    struct str text = configdata_text(list_in(store_committed(replica_store(m->replica))), "list");
    struct line l;
    unsigned count = 0;
    while (next_line(&text, &l)) {
        each(l.kind, l.name, l.at_ms, l.until_s, data);
        count++;
    }
    return count;
}

int64_t revoked_floor_ms(const struct master *m)
{
    return m->revoked->floor_ms;
}

void revoked_bootstrap(struct master *m, struct txn *t)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (list_in(store_tip(replica_store(m->replica))) == NULL) {
        struct value *doc = new_doc(&a);
        value_set(&a, value_ensure_map(&a, doc, "data"), "list", value_cstr(&a, ""));
        txn_create_value(t, kind_by_id(KIND_CONFIGMAP), doc, NULL);
    }
}

/* ---- Sessions ---- */

static void write_serial(struct str kind, struct str name, int64_t at_ms, int64_t until_s, void *data)
{
    struct buf *out = data;
    (void)at_ms;
    (void)until_s;
    if (str_is(kind, "serial") && out->size + name.n + 2 < PKI_REFUSED_MAX) {
        buf_printf(out, "%s#%.*s", out->size > 0 ? " " : "", STR_ARG(name));
    }
}

/* Ids as text ("1-3 5") but for one. */
static void write_ids_without(struct str ids, uint64_t without, struct buf *out)
{
    const char *gap = "";
    while (ids.n > 0) {
        size_t n = 0;
        while (n < ids.n && ids.p[n] != ' ') {
            n++;
        }
        char word[48];
        uint64_t from, to;
        snprintf(word, sizeof word, "%.*s", (int)n, ids.p);
        int parts = sscanf(word, "%" SCNu64 "-%" SCNu64, &from, &to);
        to = parts == 1 ? from : to;
        if (parts < 1 || without < from || without > to) {
            buf_printf(out, "%s%.*s", gap, (int)n, ids.p);
            gap = " ";
        } else {
            if (without > from) {
                buf_printf(out, "%s%" PRIu64 "-%" PRIu64, gap, from, without - 1);
                gap = " ";
            }
            if (without < to) {
                buf_printf(out, "%s%" PRIu64 "-%" PRIu64, gap, without + 1, to);
                gap = " ";
            }
        }
        n += n < ids.n;
        ids = (struct str){ids.p + n, ids.n - n};
    }
}

void revoked_write_masters(const struct master *m, struct buf *out)
{
    struct str ids = mp_str(mp_get(record_data(store_committed(replica_store(m->replica))), "removedMasters"));
    struct pki_identity shown;
    if (ids.n < PKI_REFUSED_MAX - 48 && m->identity.useless &&
        pki_cert_info(m->identity.cert_pem, &shown, NULL, NULL, NULL) == 0) {
        /* After a recovery without the CA's key: the certificate that we show is our former self's. */
        write_ids_without(ids, strtoull(shown.name, NULL, 10), out);
    } else if (ids.n < PKI_REFUSED_MAX) {
        buf_append_str(out, ids);
    }
    revoked_each(m, write_serial, out);
}

static bool peer_is_revoked(void *data, uint64_t id, const struct pki_facts *facts)
{
    struct pki_identity who = {.role = PKI_ROLE_MASTER};
    snprintf(who.name, sizeof who.name, "%" PRIu64, id);
    return revoked_has(data, &who, facts, NULL);
}

void revoked_mark(struct session *s)
{
    s->revoked = true;
    s->m->revoked->marked = true;
}

void revoked_close_sessions(struct master *m)
{
    if (m->transport != NULL) {
        transport_end_sessions(m->transport, peer_is_revoked, m);
    }
    LIST_FOR_SAFE(it, &m->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        struct error why = {0};
        if (!s->revoked && revoked_has(m, &s->principal->identity, &s->principal->facts, &why)) {
            revoked_mark(s);
            m->stats.revoked_sessions++;
            log_warn(&m->log, "certs", "connection from %s is closed: %s", s->way->addr(s), why.message);
            if (!s->answer_owed) { /* else the chores close it */
                s->way->close(s);
            }
        }
    }
}

void revoked_advance(struct master *m)
{
    const struct object *o = list_in(store_committed(replica_store(m->replica)));
    if ((o == NULL ? 0 : o->revision) != m->revoked->revision) {
        take_in(m->revoked, o);
        revoked_close_sessions(m);
    }
}

static void lines_gone(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    (void)error; /* the next time */
    ((struct master *)data)->revoked->adding = false;
}

/* Those that were marked have had the time to ask for something and be told why not. */
static void close_marked(struct master *m)
{
    m->revoked->marked = false;
    LIST_FOR_SAFE(it, &m->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        if (s->revoked) {
            m->revoked->marked = true; /* until it is gone */
            if (s->way->is_open(s)) {
                s->way->close(s);
            }
        }
    }
}

void revoked_tick(struct master *m)
{
    if (m->revoked->marked) {
        close_marked(m);
    }
    m->revoked->ahead = ahead(m) != NULL;
    if (!replica_leading(m->replica) || m->revoked->adding || store_tip(replica_store(m->replica)) == NULL ||
        env_wall_ms(m->env) / 1000 < m->revoked->over_s) {
        return;
    }
    struct txn t;
    txn_init(&t, "certs");
    if (change(m, &t, NULL, 0, NULL) == 0 && t.count > 0) {
        m->revoked->adding = true;
        replica_submit(m->replica, &t, lines_gone, m, NULL);
    }
    txn_close(&t);
}
