/* Sets of paths as trees: what is equal is shared, and every operation is one walk along both. */
#include <stdlib.h>

#include "proto/managed/managed_int.h"
#include "proto/text/text.h"

static int node_cmp(const struct managed_node *x, const struct managed_node *y)
{
    return x->sort != y->sort ? (x->sort > y->sort) - (x->sort < y->sort) : str_cmp(x->text, y->text);
}

static int node_cmp_at(const void *x, const void *y)
{
    return node_cmp(x, y);
}

struct managed_node *managed_add(struct arena *a, struct managed_set *s, struct managed_node n)
{
    s->nodes = arena_grow(a, s->nodes, s->count, &s->cap, sizeof *s->nodes, 4);
    s->nodes[s->count] = n;
    return &s->nodes[s->count++];
}

void managed_close(struct arena *a, struct managed_set *s)
{
    bool sorted = true;
    for (unsigned i = 1; i < s->count && sorted; i++) {
        sorted = node_cmp(&s->nodes[i - 1], &s->nodes[i]) < 0;
    }
    if (sorted) {
        return;
    }
    qsort(s->nodes, s->count, sizeof *s->nodes, node_cmp_at);
    unsigned kept = 0;
    for (unsigned i = 0; i < s->count; i++) {
        struct managed_node *n = &s->nodes[i], *last = kept == 0 ? NULL : &s->nodes[kept - 1];
        if (last != NULL && node_cmp(last, n) == 0) { /* a list has two elements of one key */
            last->owned |= n->owned;
            last->whole |= n->whole;
            last->below = managed_union(a, &last->below, &n->below);
        } else {
            s->nodes[kept++] = *n;
        }
    }
    s->count = kept;
}

const struct managed_node *managed_find(const struct managed_set *s, enum managed_sort sort, struct str text)
{
    struct managed_node like = {.sort = sort, .text = text};
    return s->count == 0 ? NULL : bsearch(&like, s->nodes, s->count, sizeof *s->nodes, node_cmp_at);
}

bool managed_equal(const struct managed_set *x, const struct managed_set *y)
{
    if (x->count != y->count) {
        return false;
    }
    for (unsigned i = 0; x->nodes != y->nodes && i < x->count; i++) {
        const struct managed_node *n = &x->nodes[i], *m = &y->nodes[i];
        if (node_cmp(n, m) != 0 || n->owned != m->owned || n->whole != m->whole ||
            !managed_equal(&n->below, &m->below)) {
            return false;
        }
    }
    return true;
}

/* A walk along two sets: the next element of either, and both where they have it in common. */
struct pair {
    const struct managed_node *x, *y; /* NULL: it is in the other one alone */
};
struct walk {
    const struct managed_set *x, *y;
    unsigned i, k;
};

static bool walk_next(struct walk *w, struct pair *out)
{
    *out =
        (struct pair){w->i < w->x->count ? &w->x->nodes[w->i] : NULL, w->k < w->y->count ? &w->y->nodes[w->k] : NULL};
    if (out->x != NULL && out->y != NULL) {
        int c = node_cmp(out->x, out->y);
        out->x = c > 0 ? NULL : out->x;
        out->y = c < 0 ? NULL : out->y;
    }
    w->i += out->x != NULL;
    w->k += out->y != NULL;
    return out->x != NULL || out->y != NULL;
}

struct managed_set managed_union(struct arena *a, const struct managed_set *x, const struct managed_set *y)
{
    if (x->count == 0 || y->count == 0 || x->nodes == y->nodes) {
        return x->count == 0 ? *y : *x;
    }
    struct managed_set out = {0};
    struct walk w = {x, y, 0, 0};
    for (struct pair p; walk_next(&w, &p);) {
        struct managed_node n = *(p.x != NULL ? p.x : p.y);
        if (p.x != NULL && p.y != NULL) {
            n.owned |= p.y->owned;
            n.whole |= p.y->whole;
            n.below = managed_union(a, &p.x->below, &p.y->below);
        }
        managed_add(a, &out, n);
    }
    return out;
}

struct managed_set managed_difference(struct arena *a, const struct managed_set *x, const struct managed_set *y)
{
    if (x->count == 0 || y->count == 0) {
        return *x;
    }
    struct managed_set out = {0};
    struct walk w = {x, y, 0, 0};
    for (struct pair p; walk_next(&w, &p);) {
        if (p.x == NULL || (p.y != NULL && p.y->whole)) {
            continue;
        }
        struct managed_node n = *p.x;
        if (p.y != NULL) {
            n.owned &= !p.y->owned;
            n.below = managed_difference(a, &p.x->below, &p.y->below);
        }
        if (n.owned || n.below.count > 0) {
            managed_add(a, &out, n);
        }
    }
    return out;
}

struct managed_set managed_intersection(struct arena *a, const struct managed_set *x, const struct managed_set *y)
{
    struct managed_set out = {0};
    if (x->count == 0 || y->count == 0) {
        return out;
    }
    struct walk w = {x, y, 0, 0};
    for (struct pair p; walk_next(&w, &p);) {
        if (p.x == NULL || p.y == NULL) {
            continue;
        }
        struct managed_node n = *p.x;
        n.owned &= p.y->owned;
        n.below = managed_intersection(a, &p.x->below, &p.y->below);
        if (n.owned || n.below.count > 0) {
            managed_add(a, &out, n);
        }
    }
    return out;
}

/* ---- Paths as text ---- */

/* {"containerPort":80,"protocol":"TCP"} as [containerPort=80,protocol="TCP"]. */
static void put_keys(struct buf *path, struct str json)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *keys = NULL;
    buf_putc(path, '[');
    if (json_read(&a, json, &keys, NULL) == 0 && value_is_map(keys)) {
        for (unsigned i = 0; i < keys->map.count; i++) {
            buf_printf(path, "%s%.*s=", i > 0 ? "," : "", STR_ARG(keys->map.members[i].key));
            json_write_canonical(path, keys->map.members[i].value);
        }
    }
    buf_putc(path, ']');
}

static void each_path(const struct managed_set *s, struct buf *path, managed_path_cb *cb, void *data)
{
    size_t size = path->size;
    for (unsigned i = 0; i < s->count; i++) {
        const struct managed_node *n = &s->nodes[i];
        switch (n->sort) {
        case MANAGED_FIELD:
            buf_printf(path, ".%.*s", STR_ARG(n->text));
            break;
        case MANAGED_KEY:
            put_keys(path, n->text);
            break;
        case MANAGED_VALUE:
            buf_printf(path, "[=%.*s]", STR_ARG(n->text));
            break;
        case MANAGED_INDEX:
            buf_printf(path, "[%.*s]", STR_ARG(n->text));
            break;
        }
        if (n->owned) {
            cb(data, buf_str(path));
        }
        each_path(&n->below, path, cb, data);
        path->size = size;
    }
}

void managed_each_path(const struct managed_set *s, managed_path_cb *cb, void *data)
{
    CLEANUP_BUF struct buf path = BUF_INIT;
    each_path(s, &path, cb, data);
}
