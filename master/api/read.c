/* get and list. Lists are read page by page from one version of the state: the first page pins its view, the
 * continue token names it. */
#include "master/api/read.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/admission/row.h"
#include "master/api/list_token.h"
#include "master/api/node_leases.h"
#include "master/api/write.h"
#include "master/master.h"
#include "proto/rpc/api.h"
#include "proto/schema/selector.h"
#include "proto/text/text.h"

/* ---- get ---- */

void verb_get(struct api_call *c, const struct api_target *of)
{
    const struct view *v = store_committed(replica_store(c->m->replica));
    const struct object *o = view_get(v, of->kind, of->ns, of->name);
    CLEANUP_OBJECT struct object *made =
        o == NULL && node_lease_in(of->kind, of->ns) ? node_lease_get(c->m, v, of->name) : NULL;
    o = o == NULL ? made : o;
    if (o == NULL) {
        struct error err = {0};
        error_not_found(&err, of->kind, of->name);
        c->front->fail(c, &err);
        return;
    }
    struct api_item item = {.object = o};
    api_answer(c, &(struct api_answer){.verb = API_GET, .revision = view_revision(v), .items = &item, .count = 1});
}

/* ---- Pinned versions for paging: few, the oldest goes first ---- */

#define PAGES_MAX     32u
#define PAGES_AGE_MS  300000 /* since its last page */
#define PAGES_MOST_MS 900000 /* since a list of the newest version was begun, however often it is read */
struct list_pages {
    struct view *views[PAGES_MAX];
    int64_t since_ms[PAGES_MAX]; /* when it was the newest, and a list was begun in it */
    int64_t used_at_ms[PAGES_MAX];
    unsigned next;
    void (*let_go)(void *data, struct view *v); /* NULL: view_unref */
    void *data;
};

struct list_pages *list_pages_new(void (*let_go)(void *data, struct view *v), void *data)
{
    struct list_pages *p = xcalloc(1, sizeof *p);
    p->let_go = let_go;
    p->data = data;
    return p;
}

static void pages_unpin(struct list_pages *p, unsigned i)
{
    struct view *v = TAKE_PTR(p->views[i]);
    if (p->let_go != NULL && v != NULL) {
        p->let_go(p->data, v);
    } else {
        view_unref(v);
    }
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
        bool old = now_ms - p->used_at_ms[i] > PAGES_AGE_MS || now_ms - p->since_ms[i] > PAGES_MOST_MS;
        if (p->views[i] != NULL && old) {
            pages_unpin(p, i);
        }
    }
}

/* PAGES_MAX: it is not kept. A look alone does not keep it any longer. */
static unsigned pages_find(const struct list_pages *p, uint64_t revision)
{
    unsigned i = 0;
    while (i < PAGES_MAX && (p->views[i] == NULL || view_revision(p->views[i]) != revision)) {
        i++;
    }
    return i;
}

/* since_ms: when it was the newest; who goes on in it keeps it, but not for ever. */
static void pages_pin(struct list_pages *p, const struct view *v, int64_t since_ms, int64_t now_ms)
{
    unsigned i = pages_find(p, view_revision(v));
    if (now_ms - since_ms > PAGES_MOST_MS) {
        return; /* whoever goes on is told that it is gone */
    }
    if (i == PAGES_MAX) {
        i = p->next;
        pages_unpin(p, i);
        p->views[i] = view_ref(v);
        p->since_ms[i] = since_ms;
        p->next = (p->next + 1) % PAGES_MAX;
    }
    p->since_ms[i] = MAX(p->since_ms[i], since_ms);
    p->used_at_ms[i] = now_ms;
}

bool list_token_anew(struct api_call *c, struct str token, struct buf *out)
{
    struct list_token t;
    const struct view *v = store_committed(replica_store(c->m->replica));
    if (!list_token_read(c->arena, token, &t)) {
        return false;
    }
    int64_t now_ms = env_now_ms(c->m->env);
    pages_pin(c->m->pages, v, now_ms, now_ms);
    t.master = c->m->config.id;
    t.revision = view_revision(v);
    list_token_write(out, &t);
    return true;
}

/* ---- list ---- */

int api_selectors(struct arena *a, const struct api_selection *of, struct selector **labels, struct selector **fields,
                  struct error *err)
{
    *labels = *fields = NULL;
    int rv = of->labels.n == 0 ? 0 : selector_parse(a, of->labels, labels, err);
    return rv != 0 || of->fields.n == 0 ? rv : field_selector_parse(a, of->kind, of->fields, fields, err);
}

/* A list on its way: what has been visited of its version, and what of that matches. In the call's arena; the view
 * is held. */
struct listing {
    struct view *view;
    int64_t since_ms;           /* when that was the newest */
    struct view_iter it, start; /* start: it, as it began */
    struct node_leases *leases; /* NULL: what is stored is all */
    struct selector *labels, *fields;
    bool cleared; /* what a deletion of many objects takes away, of what there was before it */
    int64_t limit;
    size_t bytes; /* of the page, as the front has written it */
    uint32_t count;
    struct object *last; /* a ref */
    bool more;
    int64_t all;   /* objects on all pages; -1: nobody knows */
    uint64_t told; /* on the pages before */
};

void list_let_go(struct api_call *c)
{
    struct listing *l = c->listing;
    if (l != NULL) {
        object_unref(l->last);
        node_leases_close(l->leases);
        view_unref(l->view);
        c->listing = NULL;
    }
}

/* Without selectors: counting what they leave would be as much as listing it. */
static int64_t count_all(const struct view *v, const struct kind *k, struct str ns)
{
    return ns.n == 0 ? (int64_t)view_count(v, k) : view_sum(v, VIEW_SUM_CONTENTS, ns, k).count;
}

static int64_t remaining(const struct listing *l)
{
    int64_t so_far = (int64_t)l->told + l->count;
    return l->all < so_far ? -1 : l->all - so_far;
}

static void list_answer(struct api_call *c)
{
    struct listing *l = c->listing;
    struct master *m = c->m;
    CLEANUP_BUF struct buf token = BUF_INIT;
    struct api_listed listed = {
        .revision = view_revision(l->view), .more = l->more, .remaining = l->more ? remaining(l) : 0};
    if (l->more) {
        pages_pin(m->pages, l->view, l->since_ms, env_now_ms(m->env));
        const struct list_token t = {m->config.id, listed.revision, l->last->ns, l->last->name, l->told + l->count};
        list_token_write(&token, &t);
        listed.token = buf_str(&token);
    }
    if (c->front->again != NULL && c->front->again(c, &listed)) {
        l->it = l->start;
        if (l->leases != NULL) {
            node_leases_again(l->leases);
        }
        l->bytes = l->count = 0;
        l->more = false;
        c->front->go_on(c);
        return;
    }
    list_let_go(c);
    c->front->listed(c, &listed);
}

/* One piece. Its size is by what is visited: a list without a match costs as much as one of all. */
void list_go_on(struct api_call *c)
{
    struct listing *l = c->listing;
    size_t end = TURNS_PIECE_BYTES + (c->front->pieces_leave ? 0 : l->bytes);
    const struct object *last = NULL, *o = NULL;
    l->bytes = c->front->pieces_leave ? 0 : l->bytes;
    c->m->stats.list_pieces++;
    unsigned visits = 0;
    while (visits < TURNS_PIECE_VISITS && l->bytes < end) {
        o = l->leases == NULL ? view_next(&l->it) : node_leases_next(l->leases, c->m, &l->it);
        visits++;
        if (o == NULL) {
            break;
        }
        if ((l->labels != NULL && !selector_matches_object(l->labels, o)) ||
            (l->fields != NULL && !field_selector_matches(l->fields, o)) ||
            (l->cleared && admission_remove(l->view, c->who, o, NULL) != 0)) {
            continue;
        }
        if (l->count == l->limit || l->bytes >= API_LIST_BYTES_MAX) {
            l->more = true;
            break;
        }
        l->bytes = c->front->item(c, o);
        if (l->leases != NULL) { /* what is made is gone with the next one */
            object_unref(l->last);
            l->last = object_ref(o);
        } else {
            last = o;
        }
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
    c->front->go_on(c);
}

void verb_list(struct api_call *c, const struct api_list *q)
{
    const struct kind *k = q->of.kind;
    struct selector *labels, *fields;
    struct error err = {0};
    if (q->limit <= 0 || q->limit > API_LIST_LIMIT_MAX) {
        api_fail(c, ERR_USAGE, "list: limit must be between 1 and %d", API_LIST_LIMIT_MAX);
        return;
    }
    if (api_selectors(c->arena, &q->of, &labels, &fields, &err) != 0) {
        c->front->fail(c, &err);
        return;
    }
    const struct view *v = store_committed(replica_store(c->m->replica));
    struct list_token t = {0};
    bool first = q->token.n == 0;
    struct list_pages *p = c->m->pages;
    int64_t now_ms = env_now_ms(c->m->env), since_ms = now_ms;
    unsigned kept = PAGES_MAX;
    if (first && q->at != 0) {
        kept = pages_find(p, q->at);
        if (kept == PAGES_MAX) {
            api_fail(c, ERR_EXPIRED, "The resourceVersion for the provided list is too old: %llu is not kept any more",
                     (unsigned long long)q->at);
            return;
        }
    }
    if (!first) {
        if (!list_token_read(c->arena, q->token, &t)) {
            api_fail(c, ERR_USAGE, "list: malformed continue token");
            return;
        }
        kept = t.master == c->m->config.id ? pages_find(p, t.revision) : PAGES_MAX;
        if (kept == PAGES_MAX) {
            api_fail(c, ERR_EXPIRED,
                     "The provided continue parameter is too old to display a consistent list result: the version that "
                     "the list was begun on is gone; begin it anew");
            return;
        }
        p->used_at_ms[kept] = now_ms;
    }
    if (kept != PAGES_MAX) {
        v = p->views[kept];
        since_ms = p->since_ms[kept];
    }
    struct listing *l = arena_alloc(c->arena, sizeof *l);
    *l = (struct listing){
        .view = view_ref(v), .since_ms = since_ms, .labels = labels, .fields = fields, .limit = q->limit};
    struct str ns = q->of.ns;
    bool leases = node_lease_in(k, ns);
    l->leases = leases ? node_leases_new(c->arena, l->view, first ? STR_NONE : t.name) : NULL;
    l->all = labels == NULL && fields == NULL && !leases ? count_all(v, k, ns) : -1;
    l->told = t.told > UINT32_MAX ? UINT32_MAX : t.told; /* the token went through other hands */
    CLEANUP_BUF struct buf key = BUF_INIT;
    enum view_index index;
    bool indexed = view_choose_index(v, k, ns, labels, fields, &index, &key);
    if (indexed && !first) {
        view_iter_index_after(&l->it, v, index, buf_str(&key), k, ns, t.ns, t.name);
    } else if (indexed) {
        view_iter_index(&l->it, v, index, buf_str(&key), k, ns);
    } else if (!first) {
        view_iter_after(&l->it, v, k, ns, t.ns, t.name);
    } else {
        view_iter(&l->it, v, k, ns);
    }
    l->start = l->it;
    c->listing = l;
    list_go_on(c);
}

void api_list_cleared(struct api_call *c, const struct view *before, const struct api_selection *of)
{
    struct error err = {0};
    struct listing *l = arena_alloc(c->arena, sizeof *l);
    *l = (struct listing){.since_ms = env_now_ms(c->m->env), .limit = INT64_MAX, .all = -1, .cleared = true};
    if (api_selectors(c->arena, of, &l->labels, &l->fields, &err) != 0) { /* the deletion has read them */
        c->front->fail(c, &err);
        return;
    }
    l->view = view_ref(before);
    view_iter(&l->it, l->view, of->kind, of->ns);
    l->start = l->it;
    c->listing = l;
    c->front->wake(c);
}
