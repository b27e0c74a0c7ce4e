/* Documents: maps, lists, paths, copies, equality. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/model/value.h"

static struct value *map_of(struct arena *a, const char *k1, int64_t v1, const char *k2, int64_t v2)
{
    struct value *m = value_map(a);
    value_set(a, m, k1, value_int(a, v1));
    value_set(a, m, k2, value_int(a, v2));
    return m;
}

static void maps_keep_order_and_replace(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *m = value_map(&a);
    for (int i = 0; i < 100; i++) {
        value_set(&a, m, arena_printf(&a, "k%d", i), value_int(&a, i));
    }
    value_set(&a, m, "k7", value_cstr(&a, "seven"));
    assert_int_equal(value_count(m), 100);
    assert_true(str_is(m->map.members[7].key, "k7"));
    assert_true(str_is(value_to_str(value_get(m, "k7")), "seven"));
    assert_null(value_get(m, "k"));
    assert_null(value_get(NULL, "k"));
    assert_null(value_get(value_int(&a, 1), "k"));
    value_set(&a, m, "nothing", NULL);
    assert_int_equal(value_count(m), 100);
}

static void removing_closes_the_gap(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *m = map_of(&a, "a", 1, "b", 2);
    assert_true(value_remove(m, "a"));
    assert_false(value_remove(m, "a"));
    assert_int_equal(value_count(m), 1);
    assert_int_equal(value_to_int(value_get(m, "b"), 0), 2);
}

static void lists_insert_and_remove(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *l = value_list(&a);
    for (int i = 0; i < 20; i++) {
        value_append(&a, l, value_int(&a, i));
    }
    value_insert(&a, l, 0, value_int(&a, -1));
    value_insert(&a, l, 21, value_int(&a, 99));
    value_remove_at(l, 1);
    assert_int_equal(value_count(l), 21);
    assert_int_equal(value_item(l, 0)->integer, -1);
    assert_int_equal(value_item(l, 1)->integer, 1);
    assert_int_equal(value_item(l, 20)->integer, 99);
    value_remove_at(l, 20);
    assert_int_equal(value_item(l, 19)->integer, 19);
}

static void paths_walk_maps_only(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *m = value_map(&a);
    struct value *spec = value_ensure_map(&a, m, "spec");
    value_set(&a, value_ensure_map(&a, spec, "template"), "on", value_bool(&a, true));
    value_append(&a, value_ensure_list(&a, spec, "items"), value_int(&a, 1));
    assert_ptr_equal(value_ensure_map(&a, m, "spec"), spec);
    assert_true(value_path_bool(m, "spec.template.on", false));
    assert_true(value_at(m, "spec", "template", "on", NULL)->boolean);
    assert_null(value_path(m, "spec.items.0"));
    assert_null(value_at(m, "spec", "nope", "on", NULL));
    assert_ptr_equal(value_path(m, ""), m);
    assert_int_equal(value_path_int(m, "spec.template.on", 7), 7);
    assert_null(value_path_str(m, "spec.x").p);
}

static void find_looks_for_a_string_member(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *l = value_list(&a);
    value_append(&a, l, value_int(&a, 3));
    for (const char *n = "abc"; *n != '\0'; n++) {
        struct value *m = value_map(&a);
        value_set(&a, m, "name", value_str(&a, (struct str){n, 1}));
        value_append(&a, l, m);
    }
    assert_ptr_equal(value_find(l, "name", STR("b")), value_item(l, 2));
    assert_null(value_find(l, "name", STR("z")));
    assert_null(value_find(NULL, "name", STR("b")));
}

static void copies_are_deep(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *m = map_of(&a, "a", 1, "b", 2);
    value_append(&a, value_ensure_list(&a, m, "l"), value_bin(&a, "\0x", 2));
    struct value *c = value_copy(&a, m);
    assert_true(value_equal(c, m));
    value_get(c, "l")->list.items[0]->type = VALUE_STR;
    value_set(&a, c, "z", value_null(&a));
    assert_int_equal(value_item(value_get(m, "l"), 0)->type, VALUE_BIN);
    assert_null(value_get(m, "z"));
    assert_false(value_equal(c, m));
}

static void equality_ignores_map_order_and_number_kind(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    assert_true(value_equal(map_of(&a, "a", 1, "b", 2), map_of(&a, "b", 2, "a", 1)));
    assert_false(value_equal(map_of(&a, "a", 1, "b", 2), map_of(&a, "a", 2, "b", 1)));
    assert_false(value_equal(map_of(&a, "a", 1, "b", 2), map_of(&a, "a", 1, "c", 2)));
    assert_true(value_equal(value_int(&a, 1), value_float(&a, 1.0)));
    assert_false(value_equal(value_int(&a, 1), value_float(&a, 1.5)));
    assert_false(value_equal(value_cstr(&a, "1"), value_int(&a, 1)));
    assert_false(value_equal(value_cstr(&a, "x"), value_bin(&a, "x", 1)));
    assert_true(value_equal(NULL, NULL));
    assert_false(value_equal(NULL, value_null(&a)));
    struct value *l1 = value_list(&a), *l2 = value_list(&a);
    value_append(&a, l1, value_int(&a, 1));
    value_append(&a, l1, value_int(&a, 2));
    value_append(&a, l2, value_int(&a, 2));
    value_append(&a, l2, value_int(&a, 1));
    assert_false(value_equal(l1, l2));
}

static void duplicates_are_found_first_pair_first(void **state)
{
    (void)state;
    for (int big = 0; big < 2; big++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct value *m = value_map(&a);
        for (int i = 0; big && i < 1000; i++) {
            value_push(&a, m, str_of(arena_printf(&a, "k%d", i)), value_null(&a));
        }
        unsigned base = value_count(m), first, second;
        assert_false(value_find_duplicate(m, &first, &second));
        const char *const keys[] = {"x", "y", "y", "x"};
        for (int i = 0; i < 4; i++) {
            value_push(&a, m, str_of(keys[i]), value_null(&a));
        }
        assert_true(value_find_duplicate(m, &first, &second));
        assert_int_equal(first, base + 1);
        assert_int_equal(second, base + 2);
    }
}

static void a_map_has_no_items(void **state)
{
    (void)state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *map = value_map(&a), *list = value_list(&a);
    value_set(&a, map, "k", value_int(&a, 1));
    value_append(&a, list, value_int(&a, 1));
    assert_null(value_item(map, 0));
    assert_null(value_item(NULL, 0));
    assert_null(value_item(list, 1));
    assert_int_equal(value_to_int(value_item(list, 0), 0), 1);
}

static void an_index_finds_what_looking_finds(void **state)
{
    (void)state;
    static const unsigned sizes[] = {0, 1, 16, 17, 500};
    for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct value *map = value_map(&a);
        for (unsigned i = 0; i < sizes[s]; i++) {
            value_set(&a, map, arena_printf(&a, "k%u", i * 7919 % 1000), value_int(&a, i));
        }
        CLEANUP_VALUE_INDEX struct value_index x = value_index_new(map);
        value_push(&a, map, STR("pushed"), value_null(&a));
        assert_int_equal(value_index_find(&x, STR("pushed")), VALUE_NOT_FOUND);
        for (unsigned i = 0; i < 1000; i++) {
            struct str key = str_of(arena_printf(&a, "k%u", i));
            unsigned at = value_index_find(&x, key);
            const struct value *v = value_get_str_key(map, key);
            assert_true(v == NULL ? at == VALUE_NOT_FOUND : map->map.members[at].value == v);
        }
        for (unsigned i = 0; i < map->map.count; i += 2) {
            map->map.members[i].value = NULL;
        }
        value_drop_marked(map);
        assert_int_equal(map->map.count, (sizes[s] + 1) / 2);
        assert_null(value_get(map, sizes[s] > 0 ? "k0" : "pushed"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_keep_order_and_replace),
        cmocka_unit_test(removing_closes_the_gap),
        cmocka_unit_test(a_map_has_no_items),
        cmocka_unit_test(an_index_finds_what_looking_finds),
        cmocka_unit_test(lists_insert_and_remove),
        cmocka_unit_test(paths_walk_maps_only),
        cmocka_unit_test(find_looks_for_a_string_member),
        cmocka_unit_test(copies_are_deep),
        cmocka_unit_test(equality_ignores_map_order_and_number_kind),
        cmocka_unit_test(duplicates_are_found_first_pair_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
