/* `reeve-master run` is told to stop, at any moment: it ends in order, with 0, and forgets nothing. The ways back of a
 * damaged master are in master_repair. */
#include "tests/unit/kit/master_kit.h"

static void put(struct kit *k, unsigned n)
{
    struct client *c = client_admin(k, kit_leader(k));
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: default}}}", n);
    client_close(c);
}

static void has(struct kit *k, unsigned n)
{
    struct client *c = client_admin(k, kit_leader(k));
    must(c, "get", "{kind: ConfigMap, namespace: default, name: c%u}", n);
    client_close(c);
}

static bool said(struct kit *k, const char *text)
{
    CLEANUP_FREE char *log = kit_log(k, 0);
    return strstr(log + k->masters[0].begun, text) != NULL;
}

static void at_once_after_its_start(void **state)
{
    (void)state;
    struct kit *k = kit_one(NULL);
    put(k, 0);
    kit_stop(k, 0, SIGTERM);
    for (unsigned n = 0; n < 10; n++) {
        kit_start(k, 0);
        kit_stop(k, 0, n % 2 == 0 ? SIGTERM : SIGINT);
        assert_false(said(k, " serves "));
    }
    kit_start(k, 0);
    has(k, 0);
    kit_free(k);
}

/* It stands at each of these when it is told. */
static void wherever_it_is_before_it_serves(void **state)
{
    static const struct {
        const char *point;
        bool serves;
    } points[] = {
        {"run_before_look", false},
        {"run_before_repair", false},
        {"run_before_serving", true},
    };
    (void)state;
    struct kit *k = kit_one(NULL);
    put(k, 0);
    kit_stop(k, 0, SIGTERM);
    for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
        kit_start_armed(k, 0, arena_printf(&k->arena, "%s=stand", points[i].point));
        kit_wait_standing(k, 0);
        kit_stop(k, 0, i % 2 == 0 ? SIGTERM : SIGINT);
        assert_true(said(k, "told to stop"));
        assert_int_equal(said(k, " serves "), points[i].serves);
    }
    kit_start(k, 0);
    has(k, 0);
    kit_free(k);
}

static void twice_and_while_it_ends(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    kit_init(k, NULL);
    kit_start_armed(k, 0, "run_after_serving=stand");
    kit_leader(k);
    put(k, 0);
    kill(k->masters[0].pid, SIGINT);
    kit_wait_standing(k, 0);
    kit_stop(k, 0, SIGTERM);
    kit_start(k, 0);
    has(k, 0);
    kit_free(k);
}

/* A master without others cannot get its state back by itself: whoever stops it hears so. */
static void damage_that_a_person_must_mend_is_told(void **state)
{
    (void)state;
    struct kit *k = kit_one(NULL);
    put(k, 0);
    kit_stop(k, 0, SIGTERM);
    kit_start_armed(k, 0, "apply_damaged=error@1+,run_after_serving=stand");
    kit_wait_standing(k, 0);
    kill(k->masters[0].pid, SIGTERM);
    kill(k->masters[0].pid, SIGCONT);
    assert_int_equal(kit_wait_end(k, 0), 1);
    assert_true(said(k, "only voter"));
    kit_start(k, 0);
    has(k, 0);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_once_after_its_start),
        cmocka_unit_test(wherever_it_is_before_it_serves),
        cmocka_unit_test(twice_and_while_it_ends),
        cmocka_unit_test(damage_that_a_person_must_mend_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
