#include "tests/unit/agent_fakes.h"

static struct object *config(const char *name, const char *value)
{
    CLEANUP_FREE char *json =
        xasprintf("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'%s','namespace':'default',"
                  "'uid':'%s'},'data':{'k':'%s'}}",
                  name, name, value);
    return object_of(json);
}

static bool put(struct refs *r, const char *name, const char *value)
{
    CLEANUP_OBJECT struct object *o = config(name, value);
    return refs_put(r, o);
}

static const struct object *get(struct refs *r, const char *name)
{
    return refs_get(r, KIND_CONFIGMAP, STR("default"), str_of(name));
}

static void what_was_put_is_found_by_kind_namespace_and_name(void **state)
{
    (void)state;
    struct refs *r = refs_new();
    assert_true(put(r, "b", "1"));
    assert_true(put(r, "a", "1"));
    assert_true(put(r, "c", "1"));
    assert_non_null(get(r, "a"));
    assert_non_null(get(r, "c"));
    assert_null(get(r, "d"));
    assert_null(refs_get(r, KIND_SECRET, STR("default"), STR("a")));
    assert_null(refs_get(r, KIND_CONFIGMAP, STR("other"), STR("a")));
    refs_free(r);
}

static void putting_the_same_again_is_no_change(void **state)
{
    (void)state;
    struct refs *r = refs_new();
    put(r, "a", "1");
    assert_false(put(r, "a", "1"));
    assert_true(put(r, "a", "2"));
    assert_int_equal(refs_count(r), 1);
    refs_free(r);
}

static void dropped(const struct object *o, void *data)
{
    buf_printf(data, "%.*s ", STR_ARG(o->name));
}

static void a_new_list_drops_what_it_does_not_name(void **state)
{
    (void)state;
    struct refs *r = refs_new();
    CLEANUP_BUF struct buf seen = BUF_INIT;
    put(r, "a", "1");
    put(r, "b", "1");
    put(r, "c", "1");
    assert_false(refs_synced(r));
    refs_list_begin(r);
    put(r, "b", "1");
    put(r, "d", "1");
    assert_non_null(get(r, "a")); /* until the list is whole the old ones stand */
    refs_list_end(r, dropped, &seen);
    assert_string_equal(buf_cstr(&seen), "a c ");
    assert_true(refs_synced(r));
    assert_int_equal(refs_count(r), 2);
    assert_true(refs_delete(r, KIND_CONFIGMAP, STR("default"), STR("b")));
    assert_false(refs_delete(r, KIND_CONFIGMAP, STR("default"), STR("b")));
    refs_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_by_kind_namespace_and_name),
        cmocka_unit_test(putting_the_same_again_is_no_change),
        cmocka_unit_test(a_new_list_drops_what_it_does_not_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
