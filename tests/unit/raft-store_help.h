/* What the tests of the store share: a deterministic clock and chance, objects from short YAML, a transaction in one
 * call. */
#ifndef TESTS_UNIT_RAFT_STORE_HELP_H
#define TESTS_UNIT_RAFT_STORE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/mem.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"
#include "raft-store/store/store.h"
#include "raft-store/store/view_edit.h"

struct fake_env {
    struct env env;
    struct rng rng;
    int64_t now_ms;
};
static inline int64_t fake_now(void *data)
{
    return ((struct fake_env *)data)->now_ms;
}
static inline int64_t fake_wall(void *data)
{
    return 1767225600000 + ((struct fake_env *)data)->now_ms; /* 2026-01-01T00:00:00Z */
}
static inline void fake_random(void *data, void *bytes, size_t n)
{
    uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rng_next(&((struct fake_env *)data)->rng);
    }
}
static inline void fake_init(struct fake_env *w, uint64_t seed)
{
    *w = (struct fake_env){.env = {w, fake_now, fake_wall, fake_random}, .rng = {seed}};
}

static inline void must(int rc, const struct error *err)
{
    if (rc != 0) {
        fail_msg("%s: %s", err_reason(rc), err->message);
    }
}

/* One ref. The text is YAML (or JSON); it is defaulted and checked. */
static inline struct object *yaml_object(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline struct object *yaml_object(const char *fmt, ...)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(&a, fmt, ap);
    va_end(ap);
    struct value **docs;
    unsigned count;
    struct error err = {0};
    must(yaml_read(&a, str_of(text), NULL, &docs, &count, &err), &err);
    assert_int_equal(count, 1);
    const struct kind *k = kind_of_document(&a, docs[0], &err);
    must(k == NULL ? err.code : 0, &err);
    must(kind_check(k, &a, docs[0], NULL, 0, &err), &err);
    struct object *o = NULL;
    must(object_from_value(k, docs[0], 0, &o, &err), &err);
    return o;
}

static inline struct object *config_map(const char *ns, const char *name, const char *key, const char *value)
{
    return yaml_object("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s}, data: {%s: '%s'}}", name,
                       ns, key, value);
}

static inline struct object *pod(const char *ns, const char *name, const char *node)
{
    return yaml_object("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s}, spec: {%s%s%s"
                       "containers: [{name: c, image: nginx}]}}",
                       name, ns, node == NULL ? "" : "nodeName: ", node == NULL ? "" : node, node == NULL ? "" : ", ");
}

/* A copy of o with one change made by a callback on its document. */
typedef void edit_fn(struct arena *a, struct value *doc);
static inline struct object *edited(const struct object *o, edit_fn *edit)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = object_to_value(&a, o);
    edit(&a, doc);
    struct object *out = NULL;
    struct error err = {0};
    must(object_from_value(o->kind, doc, 0, &out, &err), &err);
    return out;
}

static inline const struct object *find(const struct view *v, unsigned kind, const char *ns, const char *name)
{
    return view_get(v, kind_by_id(kind), str_of(ns), str_of(name));
}

static inline struct store *store_plain(struct fake_env *w)
{
    struct store_config config = {.env = &w->env};
    return store_new(&config);
}

/* Evaluate a transaction of one create or update; the object's ref is given. */
static inline int eval_create(struct store *s, struct object *o, struct error *err)
{
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    txn_create(&t, o);
    int rc = store_eval(s, &t, &result, err);
    txn_close(&t);
    return rc;
}
static inline int eval_update(struct store *s, struct object *o, enum txn_part part, uint64_t if_revision,
                              struct txn_result *result, struct error *err)
{
    struct txn t;
    struct txn_result local;
    txn_init(&t, "test");
    txn_update(&t, o, part, if_revision);
    int rc = store_eval(s, &t, result != NULL ? result : &local, err);
    txn_close(&t);
    return rc;
}
static inline int eval_delete(struct store *s, const struct object *o, struct error *err)
{
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    txn_delete(&t, o);
    int rc = store_eval(s, &t, &result, err);
    txn_close(&t);
    return rc;
}

/* Two versions hold the same objects, byte by byte. */
static inline void assert_views_equal(const struct view *a, const struct view *b)
{
    view_check(a);
    view_check(b);
    assert_int_equal(view_revision(a), view_revision(b));
    assert_int_equal(view_bytes(a), view_bytes(b));
    struct view_hash ha = view_state_hash(a), hb = view_state_hash(b);
    assert_true(ha.lo == hb.lo && ha.hi == hb.hi);
    struct view_iter ia, ib;
    view_iter_all(&ia, a);
    view_iter_all(&ib, b);
    for (;;) {
        const struct object *x = view_next(&ia), *y = view_next(&ib);
        assert_true((x == NULL) == (y == NULL));
        if (x == NULL) {
            return;
        }
        assert_int_equal(object_key_cmp(x, y), 0);
        assert_int_equal(x->revision, y->revision);
        assert_int_equal(x->body_size, y->body_size);
        assert_memory_equal(object_body(x), object_body(y), x->body_size);
    }
}

#endif
