#include "master/front/audit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/auth/access.h"
#include "master/auth/audit_file.h"
#include "master/front/audit_line.h"
#include "proto/text/text.h"

struct audit {
    struct master *m;
    struct audit_file *file;
    struct audit_policy *policy; /* NULL: nothing is recorded */
    uint64_t looked_at;          /* the revision of the state that was looked at last */
    uint64_t policy_at;          /* the revision of the ConfigMap that the policy is; 0: there is none */
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
    a->m->audits = policy != NULL;
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
    bool large = b.size > AUDIT_BODY_MAX || t->kept_bytes + b.size > AUDIT_REQUEST_BYTES_MAX;
    item->cut |= large;
    t->kept_bytes += large ? 0 : b.size;
    return large ? STR_NONE : keep(t, buf_str(&b));
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

/* The request is read again in its turn: what it was made of here would be held meanwhile, on nobody's account, and is
 * many times as large as what it came with. An entry has copies. */
static void peek_over(struct errand *e)
{
    arena_close(&e->arena);
    arena_init(&e->arena);
    if (e->front->forget != NULL) {
        e->front->forget(e);
    }
}

void audit_begin(struct errand *e)
{
    struct api_request q;
    struct describing d;
    if (!audit_is_on(e->api.m) || e->audit_asked || e->forwarded) {
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
    peek_over(e);
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

/* ---- The end ---- */

const char *audit_id(const struct errand *e)
{
    return e->audit == NULL ? NULL : e->audit->id;
}

void audit_take_notes(struct errand *e, struct mp notes)
{
    struct value *list;
    if (e->audit != NULL && mp_type(notes) == MP_ARRAY &&
        msgpack_read_value(&e->audit->arena, notes.p, (size_t)(notes.end - notes.p), &list, NULL) == 0) {
        e->api.notes = list;
    }
}

/* Who is counted for it: accounts of a namespace are one, since who may make one may make many. */
static struct str counted(const struct access_who *who)
{
    struct str user = who->subject.user, prefix = STR("system:serviceaccount:");
    const char *colon = str_starts(user, prefix) ? memchr(user.p + prefix.n, ':', user.n - prefix.n) : NULL;
    return colon == NULL ? user : (struct str){user.p, (size_t)(colon - user.p)};
}

static bool only_looks(const struct audit_item *item)
{
    return str_is(item->what.verb, "get");
}

static void add_line(const struct errand *e, const struct access_who *who, struct str line)
{
    if (line.n > 0) {
        audit_file_add(e->api.m->audit->file, counted(who), line);
    }
}

/* Lines of their own for what is written, then for some of what is only looked at, as long as there is room; then names
 * of all others. */
void audit_end(struct errand *e)
{
    struct audit_entry *t = e->audit;
    struct access_who who;
    size_t bytes = 0;
    unsigned told = 0, looked = 0;
    access_who(principal_asker(e->who), &who);
    for (unsigned looks = 0; looks < 2; looks++) {
        for (unsigned i = 0; i < t->count && bytes < AUDIT_REQUEST_BYTES_MAX && looked < AUDIT_LOOKS_MAX; i++) {
            CLEANUP_BUF struct buf line = BUF_INIT;
            if (only_looks(&t->items[i]) != (looks == 1)) {
                continue;
            }
            audit_line_write(&line, e, &t->items[i]);
            add_line(e, &who, buf_str(&line));
            t->items[i].told = true;
            bytes += line.size;
            looked += looks;
            told++;
        }
    }
    for (unsigned i = 0; told < t->count && i < t->count;) {
        CLEANUP_BUF struct buf line = BUF_INIT;
        i = audit_line_write_more(&line, e, i);
        add_line(e, &who, buf_str(&line));
    }
    e->api.notes = NULL; /* may be in the entry */
    entry_free(TAKE_PTR(e->audit));
    e->api.seen = NULL;
}
