/* What the leader tells of the nodes' networks (agent/network/neighbours.h). */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdint.h>

#include "agent/network/neighbours.h"
#include "base/mem.h"
#include "proto/text/text.h"

static void tell(struct neighbours *n, const char *yaml)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value **docs;
    unsigned count;
    arena_init(&a);
    assert_int_equal(yaml_read(&a, str_of(yaml), NULL, &docs, &count, NULL), 0);
    msgpack_write_value(&b, docs[0]);
    neighbours_told(n, mp_of(b.data, b.size));
}

static const char *cidr_of(const struct neighbours *n, const char *name)
{
    const struct neighbour *b = strmap_get(&n->by_name, str_of(name));
    return b == NULL ? "none" : b->pod_cidr;
}

static void all_at_once_replaces_and_changes_add(void **state)
{
    struct neighbours n;
    neighbours_init(&n);
    tell(&n, "{routes: [{name: a, podCIDR: 10.1.0.0/24, internalIP: 10.0.0.1}, {name: b, podCIDR: 10.2.0.0/24, "
             "internalIP: 10.0.0.2}]}");
    assert_int_equal(n.by_name.count, 2);
    tell(&n, "{changed: [{name: b, podCIDR: 10.9.0.0/24, internalIP: 10.0.0.2}, {name: c, podCIDR: 10.3.0.0/24, "
             "internalIP: 10.0.0.3}], gone: [a, z]}");
    assert_int_equal(n.by_name.count, 2);
    assert_string_equal(cidr_of(&n, "a"), "none");
    assert_string_equal(cidr_of(&n, "b"), "10.9.0.0/24");
    assert_string_equal(cidr_of(&n, "c"), "10.3.0.0/24");
    tell(&n, "{routes: [{name: a, podCIDR: 10.1.0.0/24, internalIP: 10.0.0.1}]}");
    assert_int_equal(n.by_name.count, 1);
    tell(&n, "{routes: []}");
    assert_int_equal(n.by_name.count, 0);
    tell(&n, "{routes: 7, changed: {}, gone: x}");
    tell(&n, "{changed: [{podCIDR: 10.1.0.0/24}, 3], gone: [1, {}]}");
    assert_int_equal(n.by_name.count, 0);
    neighbours_close(&n);
    (void)state;
}

static void a_zone_is_known_until_it_is_told_no_more(void **state)
{
    struct neighbours n;
    neighbours_init(&n);
    tell(&n, "{routes: [{name: a, podCIDR: 10.1.0.0/24, internalIP: 10.0.0.1, zone: east}]}");
    assert_string_equal(((struct neighbour *)strmap_get(&n.by_name, STR("a")))->zone, "east");
    tell(&n, "{changed: [{name: a, podCIDR: 10.1.0.0/24, internalIP: 10.0.0.1}]}");
    assert_string_equal(((struct neighbour *)strmap_get(&n.by_name, STR("a")))->zone, "");
    neighbours_close(&n);
    (void)state;
}

static void addresses_of_pods_lie_in_the_part_of_a_node(void **state)
{
    struct neighbours n;
    neighbours_init(&n);
    tell(&n, "{routes: [{name: a, podCIDR: 10.1.0.0/24, internalIP: 10.0.0.1}, {name: b, podCIDR: x, internalIP: y}]}");
    static const struct {
        uint32_t ip;
        bool may;
    } rows[] = {{0x0a010002, true},  {0x0a0100fe, true},  {0x0a010000, false}, {0x0a010001, false},
                {0x0a0100ff, false}, {0x0a010102, false}, {0, false}};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(neighbours_may_have(&n, rows[i].ip), rows[i].may);
    }
    neighbours_close(&n);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_at_once_replaces_and_changes_add),
                                       cmocka_unit_test(a_zone_is_known_until_it_is_told_no_more),
                                       cmocka_unit_test(addresses_of_pods_lie_in_the_part_of_a_node)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
