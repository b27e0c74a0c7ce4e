/* Objects through the api: get, and list over all pages. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/api/api_internal.h"
#include "proto/rpc/api.h"

static void set_cstr(struct arena *a, struct value *map, const char *key, const char *s)
{
    if (s != NULL && s[0] != '\0') {
        value_set(a, map, key, value_cstr(a, s));
    }
}

int api_get(struct api *a, const struct kind *k, const char *ns, const char *name, bool stale, struct object **out,
            struct error *err)
{
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct value *params = value_map(&arena);
    set_cstr(&arena, params, "kind", k->name);
    if (k->namespaced) {
        set_cstr(&arena, params, "namespace", ns);
    }
    set_cstr(&arena, params, "name", name);
    if (stale) {
        value_set(&arena, params, "stale", value_bool(&arena, true));
    }
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_read(a, "get", params, &reply, err);
    return rc != 0 ? rc : object_from_wire(mp_get(reply.result, "object"), out, err);
}

struct value *api_query_params(struct arena *arena, const struct api_list_query *q)
{
    struct value *params = value_map(arena);
    set_cstr(arena, params, "kind", q->kind->name);
    if (q->kind->namespaced) {
        set_cstr(arena, params, "namespace", q->ns);
    }
    set_cstr(arena, params, "labelSelector", q->label_selector);
    set_cstr(arena, params, "fieldSelector", q->field_selector);
    return params;
}

void api_list_close(struct api_list *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        object_unref(l->items[i]);
    }
    free(l->items);
    *l = (struct api_list){0};
}

static void list_add(struct api_list *l, struct object *o)
{
    if (l->count == l->cap) {
        l->cap = MAX(2 * l->cap, 64u);
        l->items = xrealloc(l->items, l->cap * sizeof(struct object *));
    }
    l->items[l->count++] = o;
}

static int add_page(struct api_list *out, struct mp items, struct error *err)
{
    for (struct mp_iter it = mp_iter(items); mp_next(&it);) {
        struct object *o;
        int rc = object_from_wire(it.value, &o, err);
        if (rc != 0) {
            return rc;
        }
        list_add(out, o);
    }
    return 0;
}

/* A continue token that has expired starts the list over: the pages so far belong to a version that is gone. */
int api_list(struct api *a, const struct api_list_query *q, struct api_list *out, struct error *err)
{
    CLEANUP_ARENA struct arena arena;
    arena_init(&arena);
    struct value *params = api_query_params(&arena, q);
    value_set(&arena, params, "limit", value_int(&arena, q->limit > 0 ? q->limit : API_LIST_LIMIT_DEFAULT));
    if (q->stale) {
        value_set(&arena, params, "stale", value_bool(&arena, true));
    }
    unsigned first = out->count, restarts = 0;
    for (;;) {
        CLEANUP_REPLY struct api_reply reply = {0};
        struct error e = {0};
        int rc = api_read(a, "list", params, &reply, &e);
        if (rc == ERR_EXPIRED && restarts++ < 3) {
            while (out->count > first) {
                object_unref(out->items[--out->count]);
            }
            value_remove(params, "continue");
            continue;
        }
        if (rc != 0) {
            *err = e;
            return rc;
        }
        rc = add_page(out, mp_get(reply.result, "items"), err);
        if (rc != 0) {
            return rc;
        }
        out->revision = (uint64_t)mp_int(mp_get(reply.result, "revision"), 0);
        struct str token = mp_str(mp_get(reply.result, "continue"));
        if (token.n == 0) {
            return 0;
        }
        value_set(&arena, params, "continue", value_str(&arena, token));
    }
}
