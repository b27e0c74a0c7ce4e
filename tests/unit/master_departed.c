/* Pods that are gone: whose they were is known for some minutes, and the table has an end. */
#include "tests/unit/agent_fakes.h"

#include "master/auth/departed.h"

static void delete_pod(struct departed *d, const char *name, const char *node, int64_t now_ms)
{
    char json[256];
    snprintf(json, sizeof json,
             "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'ns','uid':'u-%s'},"
             "'spec':{'nodeName':'%s','containers':[{'name':'c','image':'i'}]}}",
             name, name, node);
    CLEANUP_OBJECT struct object *o = object_of(json);
    struct change ch = {.old = o};
    departed_advance(d, &(struct history_txn){.count = 1, .changes = &ch}, now_ms);
    ch = (struct change){.old = o, .new = o}; /* one that only changes */
    departed_advance(d, &(struct history_txn){.count = 1, .changes = &ch}, now_ms + DEPARTED_MS);
}

static bool was(struct departed *d, const char *node, const char *ns, const char *name, int64_t now_ms)
{
    return departed_was_on(d, str_of(node), str_of(ns), str_of(name), now_ms);
}

static void it_was_on_its_node_for_some_minutes(void **state)
{
    (void)state;
    struct departed *d = departed_new();
    assert_false(was(d, "n1", "ns", "a", 0));
    delete_pod(d, "a", "n1", 1000);
    assert_true(was(d, "n1", "ns", "a", 1000));
    assert_true(was(d, "n1", "ns", "a", 1000 + DEPARTED_MS));
    assert_false(was(d, "n1", "ns", "a", 1001 + DEPARTED_MS));
    assert_false(was(d, "n2", "ns", "a", 1000));
    assert_false(was(d, "n1", "other", "a", 1000));
    assert_false(was(d, "n1", "ns", "b", 1000));
    delete_pod(d, "a", "n1", 2000); /* one of that name again */
    assert_true(was(d, "n1", "ns", "a", 1001 + DEPARTED_MS));
    delete_pod(d, "unbound", "", 2000);
    assert_false(was(d, "", "ns", "unbound", 2000));
    departed_free(d);
}

static void of_very_many_the_newest_are_known(void **state)
{
    (void)state;
    struct departed *d = departed_new();
    char name[32];
    unsigned known = 0, newest = 0;
    for (unsigned i = 0; i < 40000; i++) {
        snprintf(name, sizeof name, "p%u", i);
        delete_pod(d, name, "n", 1000 + i);
    }
    for (unsigned i = 0; i < 40000; i++) {
        snprintf(name, sizeof name, "p%u", i);
        bool there = was(d, "n", "ns", name, 41000);
        known += there;
        newest += i >= 36000 && there;
    }
    assert_true(known <= 16384);
    assert_true(newest >= 3990); /* of 4,000: by chance a row may have had more */
    departed_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_was_on_its_node_for_some_minutes),
        cmocka_unit_test(of_very_many_the_newest_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
