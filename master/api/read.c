/* get and list. Lists are read page by page from one version of the state: the first page pins its view, the
 * continue token names it. */
#include "master/api/read.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/api/admission.h"
#include "master/api/verbs.h"
#include "master/front/call.h"
#include "master/master.h"
#include "proto/schema/selector.h"
#include "proto/text/text.h"

/* ---- get ---- */

static void get_read(struct call *c)
{
    const struct kind *k;
    struct str ns, name;
    if (!call_kind(c, &k, &ns, false) || !call_str(c, "name", &name, true)) {
        return;
    }
    if (c->who.role == PKI_ROLE_NODE && !(k->id == KIND_NODE && str_is(name, c->who.name))) {
        call_failf(c, ERR_FORBIDDEN, "node \"%s\" may read its own Node only", c->who.name);
        return;
    }
    const struct view *v = store_committed(replica_store(c->m->replica));
    const struct object *o = view_get(v, k, ns, name);
    if (o == NULL) {
        char resource[128];
        kind_resource_name(k, resource, sizeof resource);
        call_failf(c, ERR_NOT_FOUND, "%s \"%.*s\" not found", resource, STR_ARG(name));
        return;
    }
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "revision", (int64_t)view_revision(v));
    mp_write_cstr(&b, "object");
    object_write_wire(&b, o);
    call_reply(c, &b);
    buf_close(&b);
}

void method_get(struct call *c)
{
    call_read(c, get_read);
}

/* ---- Pinned versions for paging: few, the oldest goes first ---- */

#define PAGES_MAX    32u
#define PAGES_AGE_MS 300000 /* since its last page */
struct list_pages {
    struct view *views[PAGES_MAX];
    int64_t used_at_ms[PAGES_MAX];
    unsigned next;
};

struct list_pages *list_pages_new(void)
{
    return xcalloc(1, sizeof(struct list_pages));
}

void list_pages_free(struct list_pages *p)
{
    if (p == NULL) {
        return;
    }
    for (unsigned i = 0; i < PAGES_MAX; i++) {
        view_unref(p->views[i]);
    }
    free(p);
}

void list_pages_expire(struct list_pages *p, int64_t now_ms)
{
    for (unsigned i = 0; i < PAGES_MAX; i++) {
        if (p->views[i] != NULL && now_ms - p->used_at_ms[i] > PAGES_AGE_MS) {
            view_unref(p->views[i]);
            p->views[i] = NULL;
        }
    }
}

static const struct view *pages_find(struct list_pages *p, uint64_t revision, int64_t now_ms)
{
    for (unsigned i = 0; i < PAGES_MAX; i++) {
        if (p->views[i] != NULL && view_revision(p->views[i]) == revision) {
            p->used_at_ms[i] = now_ms;
            return p->views[i];
        }
    }
    return NULL;
}

static void pages_pin(struct list_pages *p, const struct view *v, int64_t now_ms)
{
    if (pages_find(p, view_revision(v), now_ms) != NULL) {
        return;
    }
    view_unref(p->views[p->next]);
    p->views[p->next] = view_ref(v);
    p->used_at_ms[p->next] = now_ms;
    p->next = (p->next + 1) % PAGES_MAX;
}

/* Token: base64 of msgpack [master id, revision, namespace, name]. */
static void token_write(struct buf *out, uint64_t master, uint64_t revision, const struct object *last)
{
    struct buf b = BUF_INIT;
    mp_write_array(&b, 4);
    mp_write_uint(&b, master);
    mp_write_uint(&b, revision);
    mp_write_str(&b, last->ns);
    mp_write_str(&b, last->name);
    struct buf text = BUF_INIT;
    base64_write(&text, b.data, b.size);
    mp_write_cstr(out, "continue");
    mp_write_str(out, buf_str(&text));
    buf_close(&text);
    buf_close(&b);
}

struct list_token {
    uint64_t master, revision;
    struct str ns, name;
};

static bool token_read(struct arena *a, struct str text, struct list_token *t)
{
    CLEANUP_BUF struct buf raw = BUF_INIT;
    if (!base64_read(&raw, text)) {
        return false;
    }
    struct mp m = mp_of(arena_memdup(a, raw.data, raw.size), raw.size);
    uint32_t count;
    return mp_read_array(&m, &count) && count == 4 && mp_read_uint(&m, &t->master) && mp_read_uint(&m, &t->revision) &&
           mp_read_str(&m, &t->ns) && mp_read_str(&m, &t->name);
}

/* ---- list ---- */

static bool selectors(struct call *c, const struct kind *k, struct selector **labels, struct selector **fields)
{
    struct error err = {0};
    struct str text;
    *labels = *fields = NULL;
    if (!call_str(c, "labelSelector", &text, false)) {
        return false;
    }
    if (text.n > 0 && selector_parse(&c->arena, text, labels, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    if (!call_str(c, "fieldSelector", &text, false)) {
        return false;
    }
    if (text.n > 0 && field_selector_parse(&c->arena, k, text, fields, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    return true;
}

/* A list on its way: what has been visited of its version, and what of that matches. In the call's arena; the view
 * is held. */
struct listing {
    struct view *view;
    struct view_iter it;
    struct selector *labels, *fields;
    int64_t limit;
    struct buf items;
    uint32_t count;
    struct object *last; /* a ref */
    bool more;
};

void list_let_go(struct call *c)
{
    struct listing *l = c->listing;
    if (l != NULL) {
        object_unref(l->last);
        view_unref(l->view);
        buf_close(&l->items);
        c->listing = NULL;
    }
}

static void list_answer(struct call *c)
{
    struct listing *l = c->listing;
    struct master *m = c->m;
    struct buf b = BUF_INIT;
    mp_write_map(&b, l->more ? 3 : 2);
    mp_write_key_int(&b, "revision", (int64_t)view_revision(l->view));
    if (l->more) {
        pages_pin(m->pages, l->view, env_now_ms(m->env));
        token_write(&b, m->config.id, view_revision(l->view), l->last);
    }
    mp_write_cstr(&b, "items");
    mp_write_array(&b, l->count);
    buf_append(&b, l->items.data, l->items.size);
    list_let_go(c);
    call_reply(c, &b);
    buf_close(&b);
}

/* One piece. Its size is by what is visited: a list without a match costs as much as one of all. */
void list_go_on(struct call *c)
{
    struct listing *l = c->listing;
    size_t end = l->items.size + TURNS_PIECE_BYTES;
    const struct object *last = NULL, *o = NULL;
    c->m->stats.list_pieces++;
    unsigned visits = 0;
    while (visits < TURNS_PIECE_VISITS && l->items.size < end) {
        o = view_next(&l->it);
        visits++;
        if (o == NULL) {
            break;
        }
        if ((l->labels != NULL && !selector_matches_object(l->labels, o)) ||
            (l->fields != NULL && !field_selector_matches(l->fields, o))) {
            continue;
        }
        if (l->count == l->limit || l->items.size >= API_LIST_BYTES_MAX) {
            l->more = true;
            break;
        }
        object_write_wire(&l->items, o);
        last = o;
        l->count++;
    }
    c->m->stats.visits_most = MAX(c->m->stats.visits_most, visits);
    if (last != NULL) {
        object_unref(l->last);
        l->last = object_ref(last);
    }
    if (o == NULL || l->more) {
        list_answer(c);
        return;
    }
    struct lane *lane = call_lane(c);
    assert(lane != NULL); /* nothing closes connections in a turn */
    turns_go_on(c->m->turns, lane, &c->work);
}

static void list_read(struct call *c)
{
    const struct kind *k;
    struct str ns, text;
    struct selector *labels, *fields;
    if (!call_kind(c, &k, &ns, true) || !selectors(c, k, &labels, &fields) || !call_str(c, "continue", &text, false)) {
        return;
    }
    int64_t limit = mp_int(call_param(c, "limit"), API_LIST_LIMIT_DEFAULT);
    if (limit <= 0 || limit > 100000) {
        call_failf(c, ERR_USAGE, "list: limit must be between 1 and 100000");
        return;
    }
    const struct view *v = store_committed(replica_store(c->m->replica));
    struct list_token t;
    if (text.n > 0) {
        if (!token_read(&c->arena, text, &t)) {
            call_failf(c, ERR_USAGE, "list: malformed continue token");
            return;
        }
        v = t.master == c->m->config.id ? pages_find(c->m->pages, t.revision, env_now_ms(c->m->env)) : NULL;
        if (v == NULL) {
            call_failf(c, ERR_EXPIRED, "list: the version this list was begun on is gone; begin it anew");
            return;
        }
    }
    struct listing *l = arena_alloc(&c->arena, sizeof *l);
    *l = (struct listing){.view = view_ref(v), .labels = labels, .fields = fields, .limit = limit, .items = BUF_INIT};
    CLEANUP_BUF struct buf key = BUF_INIT;
    enum view_index index;
    bool indexed = view_choose_index(v, k, ns, labels, fields, &index, &key);
    if (indexed && text.n > 0) {
        view_iter_index_after(&l->it, v, index, buf_str(&key), k, ns, t.ns, t.name);
    } else if (indexed) {
        view_iter_index(&l->it, v, index, buf_str(&key), k, ns);
    } else if (text.n > 0) {
        view_iter_after(&l->it, v, k, ns, t.ns, t.name);
    } else {
        view_iter(&l->it, v, k, ns);
    }
    c->listing = l;
    list_go_on(c);
}

void method_list(struct call *c)
{
    call_read(c, list_read);
}
