/* What the leader keeps of usage: the newest report of each node, for the pods that are bound to it, for some time, in
 * so much memory. */
#include "base/strmap.h"
#include "controllers/registry.h"
#include "controllers/usage.h"
#include "proto/text/text.h"
#include "tests/unit/raft-store_help.h"

struct setup {
    struct arena arena;
    struct usage *usage;
    struct error err;
};

static int set_up(void **state)
{
    struct setup *f = xcalloc(1, sizeof *f);
    arena_init(&f->arena);
    f->usage = usage_new(1000);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct setup *f = *state;
    usage_free(f->usage);
    arena_close(&f->arena);
    free(f);
    return 0;
}

/* A report in YAML. */
static int take(struct setup *f, const char *node, const char *yaml, int64_t now_ms)
{
    struct value **docs;
    unsigned count;
    CLEANUP_BUF struct buf b = BUF_INIT;
    f->err = (struct error){0};
    assert_int_equal(yaml_read(&f->arena, str_of(yaml), "report", &docs, &count, &f->err), 0);
    msgpack_write_value(&b, docs[0]);
    return usage_take(f->usage, str_of(node), mp_of(b.data, b.size), now_ms, &f->err);
}

static struct object *bound_pod(struct setup *f, const char *name, const char *uid, const char *node)
{
    struct value **docs;
    unsigned count;
    struct object *o;
    const char *yaml = arena_printf(&f->arena,
                                    "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default, uid: %s}, "
                                    "spec: {nodeName: %s, containers: [{name: c, image: i}]}}",
                                    name, uid, node);
    assert_int_equal(yaml_read(&f->arena, str_of(yaml), "pod", &docs, &count, &f->err), 0);
    assert_int_equal(object_from_value(kind_by_id(KIND_POD), docs[0], 1, &o, &f->err), 0);
    return o;
}

#define HEAD "at: 5, window: 1000, cpu: 7, memory: 8, "

static void the_newest_report_of_the_pods_own_node_counts(void **state)
{
    struct setup *f = *state;
    struct usage_pod u;
    struct usage_node n;
    CLEANUP_OBJECT struct object *a = bound_pod(f, "a", "u-a", "n1"), *b = bound_pod(f, "b", "u-b", "n2");
    assert_false(usage_of_pod(f->usage, a, 0, &u));
    assert_int_equal(take(f, "n1", "{" HEAD "pods: [[u-a, [[c, 10, 20], [d, 1, 2]]], [u-b, [[c, 1, 1]]]]}", 100), 0);
    assert_true(usage_of_pod(f->usage, a, 100, &u));
    assert_int_equal(u.count, 2);
    assert_int_equal(usage_pod_cpu_nano(&u), 11);
    assert_int_equal(usage_pod_memory_bytes(&u), 22);
    assert_true(str_is(u.containers[1].name, "d"));
    assert_int_equal(u.at_ms, 5);
    assert_false(usage_of_pod(f->usage, b, 100, &u)); /* n1 says it, and the pod is on n2 */
    assert_true(usage_of_node(f->usage, STR("n1"), 100, &n));
    assert_int_equal(n.memory_bytes, 8);
    assert_int_equal(n.services_revision, 0);
    assert_int_equal(n.heard_ms, 100);
    assert_int_equal(take(f, "n1", "{" HEAD "services: 77, pods: [[u-a, [[c, 30, 40]]]]}", 200), 0);
    assert_true(usage_of_node(f->usage, STR("n1"), 200, &n));
    assert_int_equal(n.services_revision, 77);
    assert_true(usage_of_pod(f->usage, a, 200, &u));
    assert_int_equal(usage_pod_cpu_nano(&u), 30);
    /* A former pod's sample is not that of a new one of this name. */
    CLEANUP_OBJECT struct object *again = bound_pod(f, "a", "u-z", "n1");
    assert_false(usage_of_pod(f->usage, again, 200, &u));
    /* Old ones are not known any more. */
    assert_true(usage_of_pod(f->usage, a, 200 + USAGE_STALE_PERIODS * 1000, &u));
    assert_false(usage_of_pod(f->usage, a, 201 + USAGE_STALE_PERIODS * 1000, &u));
    usage_forget(f->usage, STR("n1"));
    assert_false(usage_of_node(f->usage, STR("n1"), 200, &n));
    assert_int_equal(usage_bytes(f->usage), 0);
}

static void what_is_no_report_changes_nothing(void **state)
{
    struct setup *f = *state;
    struct usage_pod u;
    CLEANUP_OBJECT struct object *a = bound_pod(f, "a", "u-a", "n1");
    static const char *const bad[] = {
        "{}",
        "{at: 5, window: 1000, cpu: -1, memory: 8, pods: []}",
        "{at: x, window: 1000, cpu: 1, memory: 8, pods: []}",
        "{" HEAD "pods: {}}",
        "{" HEAD "pods: [u-a]}",
        "{" HEAD "pods: [[u-a]]}",
        "{" HEAD "pods: [[u-a, []]]}",
        "{" HEAD "pods: [[u-a, {c: [c, 1, 1]}]]}",
        "{" HEAD "pods: [[u-a, [[c, 1]]]]}",
        "{" HEAD "pods: [[u-a, [[C, 1, 1]]]]}",
        "{" HEAD "pods: [[u-a, [[c, 1, -1]]]]}",
        "{" HEAD "pods: [['', [[c, 1, 1]]]]}",
        "{" HEAD "pods: [[u-b, [[c, 1, 1]]], [u-a, [[c, 1, 1]]]]}",
        "{" HEAD "pods: [[u-a, [[c, 1, 1]]], [u-a, [[c, 1, 1]]]]}",
        "{" HEAD "pods: [[u-a, [[c, 1, 18446744073709551615]]]]}",
    };
    assert_int_equal(take(f, "n1", "{" HEAD "pods: [[u-a, [[c, 10, 20]]]]}", 0), 0);
    size_t bytes = usage_bytes(f->usage);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        if (take(f, "n1", bad[i], 0) != ERR_USAGE) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    assert_true(usage_of_pod(f->usage, a, 0, &u) && usage_pod_cpu_nano(&u) == 10);
    assert_int_equal(usage_bytes(f->usage), bytes);
}

static void a_report_and_all_of_them_have_a_bound(void **state)
{
    struct setup *f = *state;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    mp_write_map(&b, 5);
    mp_write_key_int(&b, "at", 1);
    mp_write_key_int(&b, "window", 1);
    mp_write_key_int(&b, "cpu", 1);
    mp_write_key_int(&b, "memory", 1);
    mp_write_cstr(&b, "pods");
    mp_write_array(&b, USAGE_PODS_MAX);
    for (unsigned i = 0; i < USAGE_PODS_MAX; i++) {
        char uid[260];
        snprintf(uid, sizeof uid, "%08u-%0*u", i, 200, 0);
        mp_write_array(&b, 2);
        mp_write_cstr(&b, uid);
        mp_write_array(&b, 4);
        for (unsigned k = 0; k < 4; k++) {
            mp_write_array(&b, 3);
            mp_write_cstr(&b, "c");
            mp_write_int(&b, 1);
            mp_write_int(&b, 1);
        }
    }
    unsigned taken = 0;
    char node[32];
    do {
        snprintf(node, sizeof node, "n%u", taken++);
    } while (usage_take(f->usage, str_of(node), mp_of(b.data, b.size), 0, &err) == 0);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(usage_bytes(f->usage) <= USAGE_BYTES_MAX && taken > 100);
    /* One that is kept already may be told anew. */
    assert_int_equal(usage_take(f->usage, STR("n0"), mp_of(b.data, b.size), 0, &err), 0);
    usage_clear(f->usage);
    assert_int_equal(usage_bytes(f->usage), 0);
    assert_int_equal(take(f, "n1", "{" HEAD "pods: []}", 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_newest_report_of_the_pods_own_node_counts),
        TEST(what_is_no_report_changes_nothing),
        TEST(a_report_and_all_of_them_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
