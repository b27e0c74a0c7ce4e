/* The persistent tree against a sorted array: random operations, with old versions kept and compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/mem.h"
#include "raft-store/store/ptree.h"

struct item {
    unsigned refs;
    unsigned key, value;
};
static long live_items;

static int item_compare(const void *key, const void *item)
{
    unsigned a = *(const unsigned *)key, b = ((const struct item *)item)->key;
    return (a > b) - (a < b);
}
static int items_compare(const void *a, const void *b)
{
    return item_compare(&((const struct item *)a)->key, b);
}
static void item_ref(void *p)
{
    ((struct item *)p)->refs++;
}
static void item_unref(void *p)
{
    struct item *i = p;
    assert_true(i->refs > 0);
    if (--i->refs == 0) {
        live_items--;
        free(i);
    }
}
static const struct ptree_ops ops = {item_compare, item_ref, item_unref};

static struct item *item_new(unsigned key, unsigned value)
{
    struct item *i = xmalloc(sizeof *i);
    *i = (struct item){1, key, value};
    live_items++;
    return i;
}

#define KEYS 4096u
struct model {
    struct ptree tree;
    int value[KEYS]; /* -1 = absent */
};

static void model_init(struct model *m)
{
    ptree_init(&m->tree, &ops);
    for (unsigned i = 0; i < KEYS; i++) {
        m->value[i] = -1;
    }
}

static void model_put(struct model *m, unsigned key, unsigned value)
{
    struct item *old = ptree_put(&m->tree, &key, item_new(key, value));
    assert_int_equal(old == NULL ? -1 : (int)old->value, m->value[key]);
    if (old != NULL) {
        item_unref(old);
    }
    m->value[key] = (int)value;
}

static void model_remove(struct model *m, unsigned key)
{
    struct item *old = ptree_remove(&m->tree, &key);
    assert_int_equal(old == NULL ? -1 : (int)old->value, m->value[key]);
    if (old != NULL) {
        item_unref(old);
    }
    m->value[key] = -1;
}

static void model_compare(const struct model *m)
{
    ptree_check(&m->tree, items_compare);
    struct ptree_iter it;
    ptree_iter_first(&it, &m->tree);
    for (unsigned k = 0; k < KEYS; k++) {
        struct item *got = ptree_get(&m->tree, &k);
        assert_int_equal(got == NULL ? -1 : (int)got->value, m->value[k]);
        if (got != NULL) {
            assert_ptr_equal(ptree_iter_next(&it), got);
        }
    }
    assert_null(ptree_iter_next(&it));
}

static void random_operations_equal_a_sorted_array_and_old_versions_stay(void **state)
{
    (void)state;
    enum { VERSIONS = 8 };
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct rng r = {seed};
        struct model *m = xmalloc(sizeof *m), *kept[VERSIONS] = {0};
        model_init(m);
        unsigned span = seed % 2 == 0 ? KEYS : 300;
        for (unsigned step = 0; step < 20000; step++) {
            unsigned key = (unsigned)rng_below(&r, span);
            bool shrinking = (step / 4000) % 2 == 1;
            if (rng_below(&r, 10) < (shrinking ? 7u : 3u)) {
                model_remove(m, key);
            } else {
                model_put(m, key, step);
            }
            if (rng_below(&r, 500) == 0) {
                struct model **slot = &kept[rng_below(&r, VERSIONS)];
                if (*slot == NULL) {
                    *slot = xmalloc(sizeof **slot);
                } else {
                    model_compare(*slot);
                    ptree_close(&(*slot)->tree);
                }
                memcpy(*slot, m, sizeof *m);
                ptree_fork(&m->tree, &(*slot)->tree);
                if (rng_below(&r, 3) == 0) { /* go on from the old version: branches, not only a line */
                    struct model *t = *slot;
                    *slot = m;
                    m = t;
                }
            }
            if (step % 2500 == 0) {
                model_compare(m);
            }
        }
        model_compare(m);
        for (unsigned i = 0; i < VERSIONS; i++) {
            if (kept[i] != NULL) {
                model_compare(kept[i]);
                ptree_close(&kept[i]->tree);
                free(kept[i]);
            }
        }
        ptree_close(&m->tree);
        free(m);
        assert_int_equal(live_items, 0);
    }
}

static void seek_starts_at_the_first_item_not_before_the_key(void **state)
{
    (void)state;
    struct ptree t;
    ptree_init(&t, &ops);
    for (unsigned k = 0; k < 3000; k += 3) {
        assert_null(ptree_put(&t, &k, item_new(k, k)));
    }
    ptree_check(&t, items_compare);
    for (unsigned k = 0; k < 3005; k++) {
        struct ptree_iter it;
        ptree_iter_seek(&it, &t, &k);
        unsigned want = (k + 2) / 3 * 3;
        struct item *got = ptree_iter_next(&it);
        if (want >= 3000) {
            assert_null(got);
        } else {
            assert_int_equal(got->key, want);
        }
    }
    ptree_close(&t);
    assert_int_equal(live_items, 0);
}

static void ascending_inserts_fill_nodes_by_two_thirds(void **state)
{
    (void)state;
    struct ptree t;
    ptree_init(&t, &ops);
    for (unsigned k = 0; k < 10000; k++) {
        ptree_put(&t, &k, item_new(k, 0));
    }
    ptree_check(&t, items_compare);
    assert_true(ptree_node_bytes(&t) / 10000 < 20);
    for (unsigned k = 0; k < 10000; k++) {
        item_unref(ptree_remove(&t, &k));
    }
    assert_null(t.root);
    assert_int_equal(live_items, 0);
}

static void a_change_on_an_unshared_version_copies_nothing(void **state)
{
    (void)state;
    struct ptree t, old;
    ptree_init(&t, &ops);
    for (unsigned k = 0; k < 1000; k++) {
        ptree_put(&t, &k, item_new(k, 0));
    }
    struct ptree_node *root = t.root;
    unsigned key = 500;
    item_unref(ptree_put(&t, &key, item_new(key, 1)));
    assert_ptr_equal(t.root, root);
    ptree_fork(&t, &old);
    item_unref(ptree_put(&t, &key, item_new(key, 2)));
    assert_ptr_not_equal(t.root, root);
    assert_int_equal(((struct item *)ptree_get(&old, &key))->value, 1);
    assert_int_equal(((struct item *)ptree_get(&t, &key))->value, 2);
    ptree_close(&old);
    ptree_close(&t);
    assert_int_equal(live_items, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_equal_a_sorted_array_and_old_versions_stay),
        cmocka_unit_test(seek_starts_at_the_first_item_not_before_the_key),
        cmocka_unit_test(ascending_inserts_fill_nodes_by_two_thirds),
        cmocka_unit_test(a_change_on_an_unshared_version_copies_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
