/* The table of routes: whoever follows it, at whatever pace, ends with what the nodes say (master/nodes/routes.h). */
#include "base/strmap.h"
#include "master/nodes/routes.h"
#include "tests/unit/raft-store_help.h"

#define NODES     40u
#define FOLLOWERS 6u

static struct object *node_of(unsigned i, unsigned network, bool addressed)
{
    return yaml_object(
        "{apiVersion: v1, kind: Node, metadata: {name: n%u, labels: {x: '%u'}}, spec: {podCIDR: '10.%u.%u.0/24'}, "
        "status: {addresses: [{type: Hostname, address: n%u}%s]}}",
        i, network, network, i % 250, i, addressed ? ", {type: InternalIP, address: 192.168.0.1}" : "");
}

struct follower {
    struct strmap nodes; /* -> its podCIDR */
    uint64_t told;
    bool changes;
};

static void put(struct follower *f, struct mp list)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str cidr = mp_str(mp_get(it.value, "podCIDR"));
        free(strmap_set(&f->nodes, mp_str(mp_get(it.value, "name")), xstrndup(cidr.p, cidr.n)));
    }
}

static void forget_all(struct follower *f)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&f->nodes, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(&f->nodes);
}

static void follow(struct follower *f, struct routes *r)
{
    uint64_t stands;
    struct str message = routes_message(r, f->told, f->changes, &stands);
    struct mp m = mp_of(message.p, message.n);
    if (mp_type(mp_get(m, "routes")) == MP_ARRAY) {
        forget_all(f);
        put(f, mp_get(m, "routes"));
    } else {
        assert_true(f->changes && f->told > 0);
        for (struct mp_iter it = mp_iter(mp_get(m, "gone")); mp_next(&it);) {
            free(strmap_remove(&f->nodes, mp_str(it.value)));
        }
        put(f, mp_get(m, "changed"));
    }
    assert_true(stands <= routes_version(r) && stands >= f->told);
    f->told = stands;
}

static void assert_equals(const struct follower *f, const struct view *v)
{
    size_t routed = 0;
    struct view_iter it;
    view_iter(&it, v, kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        if (mp_count(mp_path(object_mp(node), "status.addresses")) == 2) {
            const char *cidr = strmap_get(&f->nodes, node->name);
            assert_non_null(cidr);
            assert_true(str_is(mp_str(mp_path(object_mp(node), "spec.podCIDR")), cidr));
            routed++;
        }
    }
    assert_int_equal(f->nodes.count, routed);
}

static void change(struct view *v, struct routes *r, struct rng *rng, bool told)
{
    unsigned i = (unsigned)rng_below(rng, NODES);
    struct object *new = rng_below(rng, 3) == 0 ? NULL : node_of(i, (unsigned)rng_below(rng, 3), rng_below(rng, 5) > 0),
                  *old;
    char name[16];
    snprintf(name, sizeof name, "n%u", i);
    old = new != NULL ? view_put(v, new) : view_remove(v, kind_by_id(KIND_NODE), STR_NONE, str_of(name));
    if (told && (old != NULL || new != NULL)) {
        uint64_t before = routes_version(r);
        bool changed = routes_change(r, old, new);
        assert_int_equal(changed, routes_version(r) != before);
    }
    object_unref(old);
    object_unref(new);
}

static void whoever_follows_ends_with_what_the_nodes_say(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct rng rng = {seed};
        struct view *v = view_new();
        struct routes *r = routes_new();
        struct follower followers[FOLLOWERS] = {0};
        routes_sync(r, v);
        for (unsigned i = 0; i < FOLLOWERS; i++) {
            strmap_init(&followers[i].nodes);
            followers[i].changes = i > 0;
        }
        for (unsigned step = 0; step < 400; step++) {
            bool told = rng_below(&rng, 20) > 0;
            change(v, r, &rng, told);
            if (!told) {
                routes_sync(r, v); /* as after a restored snapshot */
            }
            struct follower *f = &followers[rng_below(&rng, FOLLOWERS)];
            if (rng_below(&rng, 3) == 0) {
                follow(f, r);
                assert_equals(f, v);
            }
        }
        for (unsigned i = 0; i < FOLLOWERS; i++) {
            follow(&followers[i], r);
            assert_equals(&followers[i], v);
            forget_all(&followers[i]);
        }
        routes_free(r);
        view_unref(v);
    }
    (void)state;
}

static void who_comes_back_after_too_many_have_gone_hears_all(void **state)
{
    struct view *v = view_new();
    struct routes *r = routes_new();
    struct follower early = {.changes = true}, late = {.changes = true};
    routes_sync(r, v);
    for (unsigned i = 0; i < ROUTES_GONE_MAX + 100; i++) {
        struct object *node = node_of(i, 1, true);
        routes_change(r, NULL, node);
        if (i == 0) {
            follow(&early, r);
        } else if (i == ROUTES_GONE_MAX + 50) {
            follow(&late, r);
        }
        routes_change(r, node, NULL);
        object_unref(node);
    }
    uint64_t stands;
    struct str message = routes_message(r, early.told, true, &stands);
    assert_int_equal(mp_type(mp_get(mp_of(message.p, message.n), "routes")), MP_ARRAY);
    message = routes_message(r, late.told, true, &stands);
    assert_int_equal(mp_count(mp_get(mp_of(message.p, message.n), "gone")), 50);
    follow(&early, r);
    follow(&late, r);
    assert_equals(&early, v);
    assert_equals(&late, v);
    forget_all(&early);
    forget_all(&late);
    routes_free(r);
    view_unref(v);
    (void)state;
}

static struct object *zoned(const char *labels)
{
    return yaml_object("{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {%s}}, spec: {podCIDR: 10.1.1.0/24}, "
                       "status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}",
                       labels);
}

/* What follows is only its first node. */
static void expect_zone(struct routes *r, uint64_t since, const char *list, const char *zone)
{
    uint64_t stands;
    struct str message = routes_message(r, since, true, &stands);
    struct mp_iter it = mp_iter(mp_get(mp_of(message.p, message.n), list));
    assert_true(mp_next(&it));
    assert_true(str_is(mp_str(mp_get(it.value, "zone")), zone));
}

static void the_zone_of_a_node_is_told_as_soon_as_it_has_one(void **state)
{
    struct routes *r = routes_new();
    struct object *without = zoned("a: b"), *with = zoned("topology.kubernetes.io/zone: east");
    assert_true(routes_change(r, NULL, without));
    uint64_t before = routes_version(r);
    expect_zone(r, 0, "routes", "");
    assert_true(routes_change(r, without, with));
    expect_zone(r, before, "changed", "east");
    assert_false(routes_change(r, with, with));
    before = routes_version(r);
    assert_true(routes_change(r, with, without));
    expect_zone(r, before, "changed", "");
    object_unref(with);
    object_unref(without);
    routes_free(r);
    (void)state;
}

/* While a crowd grows its table is not written anew for each newcomer, and all end with the same. */
static void newcomers_to_a_crowd_share_a_table_and_hear_the_rest_as_changes(void **state)
{
    struct view *v = view_new();
    struct routes *r = routes_new();
    struct follower newcomer = {.changes = true}, old_one = {0};
    unsigned tables = 0;
    routes_sync(r, v);
    for (unsigned i = 0; i < 2 * ROUTES_CROWD; i++) {
        struct object *node = node_of(i, 1, true);
        uint64_t stands;
        object_unref(view_put(v, node));
        routes_change(r, NULL, node);
        object_unref(node);
        if (i >= ROUTES_CROWD) {
            routes_message(r, 0, true, &stands);
            tables += stands != newcomer.told;
            newcomer.told = stands;
        }
    }
    assert_in_range(tables, 1, 9);
    newcomer.told = 0;
    follow(&newcomer, r);
    assert_true(newcomer.told < routes_version(r));
    follow(&newcomer, r);
    assert_int_equal(newcomer.told, routes_version(r));
    assert_equals(&newcomer, v);
    follow(&old_one, r); /* understands no changes */
    assert_equals(&old_one, v);
    forget_all(&newcomer);
    forget_all(&old_one);
    routes_free(r);
    view_unref(v);
    (void)state;
}

static void a_crowd_hears_of_many_changes_at_once(void **state)
{
    struct routes *r = routes_new();
    for (int64_t now_ms = 1000; now_ms < 1010; now_ms++) {
        assert_true(routes_tell_now(r, 10, now_ms));
    }
    assert_true(routes_tell_now(r, 5000, 5000));
    unsigned told = 0;
    for (int64_t now_ms = 5001; now_ms <= 9000; now_ms++) {
        told += routes_tell_now(r, 5000, now_ms);
    }
    assert_int_equal(told, 4);
    routes_free(r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_follows_ends_with_what_the_nodes_say),
        cmocka_unit_test(who_comes_back_after_too_many_have_gone_hears_all),
        cmocka_unit_test(the_zone_of_a_node_is_told_as_soon_as_it_has_one),
        cmocka_unit_test(newcomers_to_a_crowd_share_a_table_and_hear_the_rest_as_changes),
        cmocka_unit_test(a_crowd_hears_of_many_changes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
