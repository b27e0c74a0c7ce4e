#include "master/front/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/timefmt.h"
#include "master/auth/access.h"
#include "master/auth/audit_file.h"
#include "master/auth/audit_policy.h"
#include "proto/text/text.h"

struct audit {
    struct master *m;
    struct audit_file *file;
    struct audit_policy *policy; /* NULL: nothing is recorded */
    uint64_t looked_at;          /* the revision of the state that was looked at last */
    uint64_t policy_at;          /* the revision of the ConfigMap that the policy is; 0: there is none */
};

struct audit_item {
    struct audit_what what;
    enum audit_level level;
    struct str request, response; /* JSON; empty: none */
    bool cut;                     /* one of them is too large */
};
struct audit_entry {
    struct arena arena;
    char id[ENV_UUID_SIZE];
    int64_t received_ms;
    struct audit_item *items;
    unsigned count, cap;
    int code;      /* enum err; 0: it was done */
    char *message; /* in the arena; NULL: none, or it might quote a secret */
};

struct audit *audit_new(struct master *m, const char *path, uint64_t max_bytes)
{
    struct audit *a = xcalloc(1, sizeof *a);
    a->m = m;
    a->file = audit_file_new(m, path, max_bytes);
    return a;
}

void audit_free(struct audit *a)
{
    if (a != NULL) {
        audit_file_free(a->file);
        audit_policy_free(a->policy);
        free(a);
    }
}

bool audit_is_idle(const struct audit *a)
{
    return audit_file_is_idle(a->file);
}

/* The policy as it is committed here. What cannot be read (an older master let it in) records nothing, and says so. */
static void look_at_policy(struct audit *a, const struct view *v)
{
    const struct object *o = view_get(v, kind_by_id(KIND_CONFIGMAP), STR("kube-system"), STR(AUDIT_NAME));
    uint64_t at = o == NULL ? 0 : o->revision;
    if (at == a->policy_at) {
        return;
    }
    struct error err = {0};
    struct audit_policy *policy = NULL;
    a->policy_at = at;
    if (o != NULL && audit_policy_read(mp_str(mp_get(mp_get(object_mp(o), "data"), AUDIT_KEY)), &policy, &err) != 0) {
        log_warn(&a->m->log, "audit", "nothing is recorded: ConfigMap kube-system/" AUDIT_NAME ": %s", err.message);
    }
    audit_policy_free(a->policy);
    a->policy = policy;
}

bool audit_is_on(struct master *m)
{
    struct audit *a = m->audit;
    if (a == NULL || m->replica == NULL) {
        return false;
    }
    const struct view *v = store_committed(replica_store(m->replica));
    uint64_t at = view_revision(v);
    if (at != a->looked_at) {
        a->looked_at = at;
        look_at_policy(a, v);
    }
    return a->policy != NULL;
}

/* ---- What a request is about ---- */

static struct str keep(struct audit_entry *t, struct str s)
{
    return s.n == 0 ? STR_NONE : (struct str){arena_strndup(&t->arena, s.p, s.n), s.n};
}

static struct str keep_json(struct audit_entry *t, const struct value *doc, struct audit_item *item)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    json_write(&b, doc, 0);
    item->cut |= b.size > AUDIT_BODY_MAX;
    return b.size > AUDIT_BODY_MAX ? STR_NONE : keep(t, buf_str(&b));
}

struct describing {
    struct errand *e;
    struct audit_entry *t;
    struct access_who who; /* who really asks, as in Kubernetes, whose policies are asked before impersonation */
};

static void describe(const struct access *a, const struct value *doc, void *data)
{
    struct describing *d = data;
    struct audit_entry *t = d->t;
    const struct kind *k = a->resource.n == 0 ? NULL : kind_by_any_name(a->resource);
    bool known = k != NULL && str_is(a->resource, k->plural) && str_eq(kind_group(k), a->group);
    struct str version = known ? str_of(k->api_version) : STR("v1");
    const char *slash = memchr(version.p, '/', version.n);
    struct audit_item item = {.what = {.verb = a->verb,
                                       .group = a->group,
                                       .version = slash == NULL ? version : str_of(slash + 1),
                                       .resource = a->resource,
                                       .sub = a->sub,
                                       .ns = a->ns,
                                       .name = a->name.n > 0 ? a->name : value_path_str(doc, "metadata.name"),
                                       .path = a->path}};
    item.level = audit_policy_level(d->e->api.m->audit->policy, &d->who.subject, &item.what);
    if (item.level == AUDIT_NONE) {
        return;
    }
    if (audit_is_secret(&item.what)) {
        item.level = AUDIT_METADATA;
    }
    if (t->count == t->cap) {
        unsigned cap = t->cap == 0 ? 1 : 2 * t->cap;
        struct audit_item *more = arena_alloc(&t->arena, cap * sizeof *more);
        if (t->count > 0) {
            memcpy(more, t->items, t->count * sizeof *more);
        }
        t->items = more;
        t->cap = cap;
    }
    struct str *texts[] = {&item.what.verb, &item.what.group, &item.what.version, &item.what.resource,
                           &item.what.sub,  &item.what.ns,    &item.what.name,    &item.what.path};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        *texts[i] = keep(t, *texts[i]);
    }
    if (item.level >= AUDIT_REQUEST && doc != NULL) {
        item.request = keep_json(t, doc, &item);
    }
    t->items[t->count++] = item;
}

static void entry_free(struct audit_entry *t)
{
    arena_close(&t->arena);
    free(t);
}

static struct audit_entry *entry_new(struct errand *e, struct describing *d)
{
    struct audit_entry *t = xcalloc(1, sizeof *t);
    arena_init(&t->arena);
    env_uuid(e->api.m->env, t->id);
    t->received_ms = env_wall_ms(e->api.m->env);
    *d = (struct describing){.e = e, .t = t};
    access_who(principal_asker(e->who), &d->who);
    return t;
}

/* A secret's item has no response: its level is Metadata. */
static void seen(struct api_call *c, const struct api_answer *a)
{
    struct audit_entry *t = errand_of_api(c)->audit;
    if (t == NULL || a->verb == API_DELETECOLLECTION) {
        return;
    }
    for (unsigned i = 0; i < MIN(t->count, a->count); i++) {
        struct audit_item *item = &t->items[i];
        const struct object *o = a->items[i].object;
        bool same = o != NULL && str_eq(o->ns, item->what.ns) &&
                    (item->what.name.n == 0 || str_eq(o->name, item->what.name)) &&
                    str_is(item->what.resource, o->kind->plural);
        if (!same) { /* the policy wants others of the request than these */
            continue;
        }
        if (item->what.name.n == 0) {
            item->what.name = keep(t, o->name);
        }
        if (item->level == AUDIT_REQUEST_RESPONSE) {
            item->response = keep_json(t, object_to_value(&t->arena, o), item);
        }
    }
}

void audit_begin(struct errand *e)
{
    struct api_request q;
    struct describing d;
    if (e->audit_asked || e->forwarded || !audit_is_on(e->api.m)) {
        return;
    }
    e->audit_asked = true;
    struct audit_entry *t = entry_new(e, &d);
    if (!(e->flags & METHOD_TYPED)) {
        struct str ns = STR_NONE, name = STR_NONE;
        const char *access = e->front->access == NULL ? NULL : e->front->access(e, &ns, &name);
        access_each_other(e->name, access, (e->flags & (METHOD_WRITE | METHOD_STREAM)) != 0, ns, name, describe, &d);
    } else if (e->front->peek != NULL && e->front->peek(e, &q) == 0) {
        access_each(&e->api, &q, describe, &d);
    } else { /* it will be refused */
        access_each_other(e->name, NULL, (e->flags & METHOD_WRITE) != 0, STR_NONE, STR_NONE, describe, &d);
    }
    if (t->count == 0) {
        entry_free(t);
        return;
    }
    e->audit = t;
    e->api.seen = seen;
}

void audit_failed(struct errand *e, const struct error *err)
{
    struct describing d;
    bool quotes = false;
    if (e->audit == NULL && !e->audit_asked && !e->forwarded && audit_is_on(e->api.m)) {
        e->audit_asked = true;
        struct audit_entry *t = entry_new(e, &d);
        access_each_other(e->name, NULL, (e->flags & METHOD_WRITE) != 0, STR_NONE, STR_NONE, describe, &d);
        if (t->count == 0) {
            entry_free(t);
            return;
        }
        e->audit = t;
    }
    if (e->audit == NULL) {
        return;
    }
    e->audit->code = err->code;
    for (unsigned i = 0; i < e->audit->count; i++) {
        const struct audit_what *w = &e->audit->items[i].what;
        quotes |= w->resource.n > 0 && audit_is_secret(w);
    }
    /* What roles refuse quotes nothing but names. */
    bool tells = !quotes || err->code == ERR_FORBIDDEN || err->code == ERR_NOT_FOUND;
    e->audit->message = tells ? arena_strdup(&e->audit->arena, err->message) : NULL;
}

/* ---- A line ---- */

static void put(struct buf *b, const char *key, struct str text)
{
    buf_printf(b, ",\"%s\":", key);
    json_write_text(b, text);
}

static void put_time(struct buf *b, const char *key, int64_t wall_ms)
{
    char text[TIMEFMT_SIZE];
    timefmt_rfc3339_ms(wall_ms, text); /* "...05.123Z": microseconds, as clients read them */
    buf_printf(b, ",\"%s\":\"%.*s000Z\"", key, (int)strlen(text) - 1, text);
}

static void put_user(struct buf *b, const char *key, const struct principal *p)
{
    struct access_who who;
    access_who(p, &who);
    buf_printf(b, ",\"%s\":{\"username\":", key);
    json_write_text(b, who.subject.user);
    if (p->as != NULL && p->as->uid[0] != '\0') {
        put(b, "uid", str_of(p->as->uid));
    }
    buf_puts(b, ",\"groups\":[");
    for (unsigned i = 0; i < who.subject.groups_count; i++) {
        buf_puts(b, i > 0 ? "," : "");
        json_write_text(b, who.subject.groups[i]);
    }
    buf_putc(b, ']');
    if (p->as != NULL && p->as->extra.size > 0) {
        struct mp extra = mp_of(p->as->extra.data, p->as->extra.size);
        buf_puts(b, ",\"extra\":");
        json_write_mp(b, &extra);
    }
    buf_putc(b, '}');
}

/* Where the connection comes from, without its port. */
static void put_source(struct buf *b, const struct errand *e)
{
    struct session *s = e->front->session(e);
    const char *addr = s == NULL || s->way == NULL ? "" : s->way->addr(s), *colon = strrchr(addr, ':');
    if (colon != NULL) {
        bool brackets = addr[0] == '[' && colon > addr + 1 && colon[-1] == ']';
        buf_puts(b, ",\"sourceIPs\":[");
        json_write_text(b, (struct str){addr + brackets, (size_t)(colon - addr) - 2u * brackets});
        buf_putc(b, ']');
    }
}

static unsigned http_code(const struct audit_entry *t, const struct audit_what *w)
{
    static const struct {
        int code;
        unsigned http;
    } rows[] = {{ERR_USAGE, 400},      {ERR_UNAUTHORIZED, 401},    {ERR_FORBIDDEN, 403}, {ERR_NOT_FOUND, 404},
                {ERR_EXISTS, 409},     {ERR_CONFLICT, 409},        {ERR_EXPIRED, 410},   {ERR_TOO_LARGE, 413},
                {ERR_INVALID, 422},    {ERR_LIMIT, 429},           {ERR_BUSY, 429},      {ERR_NO_QUORUM, 503},
                {ERR_NOT_LEADER, 503}, {ERR_UNKNOWN_OUTCOME, 504}, {ERR_TIMEOUT, 504}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].code == t->code) {
            return rows[i].http;
        }
    }
    return t->code != 0 ? 500 : str_is(w->verb, "create") ? 201 : 200;
}

static void put_object(struct buf *b, const struct audit_what *w)
{
    const struct {
        const char *key;
        struct str text;
    } members[] = {{"resource", w->resource}, {"namespace", w->ns},       {"name", w->name},
                   {"apiGroup", w->group},    {"apiVersion", w->version}, {"subresource", w->sub}};
    bool first = true;
    buf_puts(b, ",\"objectRef\":{");
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (members[i].text.n > 0) {
            buf_printf(b, "%s\"%s\":", first ? "" : ",", members[i].key);
            json_write_text(b, members[i].text);
            first = false;
        }
    }
    buf_putc(b, '}');
}

static void put_status(struct buf *b, const struct audit_entry *t, const struct audit_what *w)
{
    buf_puts(b, ",\"responseStatus\":{\"metadata\":{}");
    if (t->code != 0) {
        put(b, "status", STR("Failure"));
        put(b, "reason", str_of(err_reason(t->code)));
        if (t->message != NULL) {
            put(b, "message", str_of(t->message));
        }
    }
    buf_printf(b, ",\"code\":%u}", http_code(t, w));
}

static void write_line(struct buf *b, const struct errand *e, const struct audit_item *item)
{
    const struct audit_entry *t = e->audit;
    const struct audit_what *w = &item->what;
    buf_printf(b,
               "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/"
               "v1\",\"level\":\"%s\",\"auditID\":\"%s\",\"stage\":\"" AUDIT_STAGE "\",\"requestURI\":",
               audit_level_words[item->level], t->id);
    if (e->uri.n > 0) {
        json_write_text(b, e->uri);
    } else {
        CLEANUP_BUF struct buf uri = BUF_INIT;
        buf_printf(&uri, "/rpc/%.*s", STR_ARG(e->name));
        json_write_text(b, buf_str(&uri));
    }
    put(b, "verb", w->verb);
    put_user(b, "user", principal_asker(e->who));
    if (e->who->as != NULL) {
        put_user(b, "impersonatedUser", e->who);
    }
    put_source(b, e);
    if (e->agent.n > 0) {
        put(b, "userAgent", e->agent);
    }
    if (w->resource.n > 0) {
        put_object(b, w);
    }
    put_status(b, t, w);
    if (item->request.n > 0) {
        buf_printf(b, ",\"requestObject\":%.*s", STR_ARG(item->request));
    }
    if (item->response.n > 0) {
        buf_printf(b, ",\"responseObject\":%.*s", STR_ARG(item->response));
    }
    put_time(b, "requestReceivedTimestamp", t->received_ms);
    put_time(b, "stageTimestamp", env_wall_ms(e->api.m->env));
    bool forbidden = t->code == ERR_FORBIDDEN || t->code == ERR_UNAUTHORIZED;
    buf_printf(b, ",\"annotations\":{\"authorization.k8s.io/decision\":\"%s\"%s}}\n", forbidden ? "forbid" : "allow",
               item->cut ? ",\"audit.k8s.io/truncated\":\"true\"" : "");
}

void audit_end(struct errand *e)
{
    for (unsigned i = 0; i < e->audit->count; i++) {
        CLEANUP_BUF struct buf line = BUF_INIT;
        write_line(&line, e, &e->audit->items[i]);
        audit_file_add(e->api.m->audit->file, buf_str(&line));
    }
    entry_free(TAKE_PTR(e->audit));
    e->api.seen = NULL;
}
