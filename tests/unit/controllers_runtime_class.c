/* What pods get of runtime classes, if users write very many tolerations. */
#include "controllers/runtime_class.h"
#include "tests/unit/controllers_fixture.h"

static void put_class(struct fixture *f)
{
    struct error err = {0};
    if (stage_apply_yaml(&f->cluster.stage,
                         "{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: sandboxed}, handler: kata, "
                         "scheduling: {tolerations: [{key: kata, operator: Exists}]}}",
                         &err) != 0) {
        fail_msg("%s", err.message);
    }
}

/* So many tolerations, all alike, or each its own. Returns how many there are with the class's. */
static unsigned given(struct fixture *f, unsigned count, bool alike)
{
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    arena_init(&a);
    struct value *spec = value_map(&a), *list = value_list(&a);
    value_set(&a, spec, "runtimeClassName", value_cstr(&a, "sandboxed"));
    for (unsigned i = 0; i < count; i++) {
        struct value *t = value_map(&a);
        value_set(&a, t, "key", value_strf(&a, "k%u", alike ? 0 : i));
        value_set(&a, t, "operator", value_cstr(&a, "Exists"));
        value_append(&a, list, t);
    }
    value_set(&a, spec, "tolerations", list);
    assert_int_equal(runtime_class_give(stage_tip(&f->cluster.stage), NULL, &a, spec, &err), 0);
    list = value_get(spec, "tolerations");
    unsigned all = value_count(list);
    assert_true(str_is(value_to_str(value_get(value_item(list, all - 1), "key")), "kata"));
    return all;
}

/* Those that are alike show whether they were compared. */
static void many_tolerations_are_not_each_compared_with_each(void **state)
{
    struct fixture f;
    struct env env;
    (void)state;
    open_fixture(&f, &env);
    put_class(&f);
    assert_int_equal(given(&f, 127, true), 2);
    assert_int_equal(given(&f, 127, false), 128);
    assert_int_equal(given(&f, 128, true), 129);
    assert_int_equal(given(&f, 16000, true), 16001);
    assert_int_equal(given(&f, 16000, false), 16001);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_tolerations_are_not_each_compared_with_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
