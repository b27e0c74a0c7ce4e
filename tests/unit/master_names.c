/* From which state nodes answer names, over all of them, in bounded steps (master/nodes/names.h). */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "master/nodes/names.h"

struct world {
    struct usage *usage;
    struct moments changes;
    struct names_walk walk;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->usage = usage_new(USAGE_PERIOD_MS);
    moments_note(&w->changes, 10, 1000);
    moments_note(&w->changes, 20, 5000);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    usage_free(w->usage);
    free(w);
    return 0;
}

/* Node n-I tells that it knows Services as of this revision. */
static void tell(struct world *w, unsigned node, uint64_t revision, int64_t now_ms)
{
    static const char *const keys[] = {"at", "window", "cpu", "memory"};
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct error err = {0};
    char name[32];
    snprintf(name, sizeof name, "n-%u", node);
    mp_write_map(&b, 6);
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        mp_write_key_int(&b, keys[i], 1);
    }
    mp_write_key_int(&b, "services", (int64_t)revision);
    mp_write_cstr(&b, "pods");
    mp_write_array(&b, 0);
    assert_int_equal(usage_take(w->usage, str_of(name), mp_of(b.data, b.size), now_ms, &err), 0);
}

static void is_found(struct names_found f, uint64_t nodes, uint64_t lowest, int64_t behind_ms)
{
    assert_int_equal(f.nodes, nodes);
    assert_int_equal(f.lowest, lowest);
    assert_int_equal(f.behind_ms, behind_ms);
}

static struct names_found look(struct world *w, int64_t now_ms)
{
    return names_look(&w->walk, w->usage, &w->changes, now_ms);
}

static void of_few_nodes_it_is_told_as_it_is_now(void **state)
{
    struct world *w = *state;
    is_found(look(w, 6000), 0, 0, 0);
    tell(w, 1, 20, 6000);
    is_found(look(w, 6000), 1, 20, 0);
    tell(w, 2, 10, 7000); /* it lacks what came at 5000 */
    tell(w, 3, 0, 7000);  /* it does not say */
    is_found(look(w, 7000), 2, 10, 2000);
    names_step(&w->walk, w->usage, &w->changes, 7000); /* a look begins anew, wherever a walk is */
    tell(w, 2, 20, 8000);
    is_found(look(w, 8000), 2, 20, 0);
    usage_forget(w->usage, STR("n-1"));
    is_found(look(w, 8000), 1, 20, 0);
    is_found(look(w, 8001 + USAGE_STALE_PERIODS * USAGE_PERIOD_MS), 0, 0, 0); /* nobody has told anything lately */
    usage_clear(w->usage);
    is_found(look(w, 8000), 0, 0, 0);
}

#define MANY (3 * NAMES_LOOK)

static void of_many_a_look_sees_a_part_and_tells_the_last_whole_walk(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < MANY; i++) {
        tell(w, i, i == 7 ? 10 : 20, 6000);
    }
    for (unsigned i = 0; i < MANY / (NAMES_LOOK + 1); i++) {
        is_found(look(w, 6000), 0, 0, 0);
    }
    is_found(look(w, 6000), MANY, 10, 1000);
    tell(w, 7, 20, 7000);
    struct names_found f = look(w, 7000);
    is_found(f, MANY, 10, 1000); /* as it was */
    for (unsigned i = 0; f.lowest == 10; i++) {
        assert_true(i < 4);
        f = look(w, 7000);
    }
    is_found(f, MANY, 20, 0);
}

static void reports_carry_the_walk_on(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < MANY; i++) {
        tell(w, i, 20, 6000);
    }
    for (unsigned i = 0; i < MANY / NAMES_STEP + 1; i++) { /* half a period of them */
        size_t before = w->walk.now.nodes;
        names_step(&w->walk, w->usage, &w->changes, 6000);
        assert_true(w->walk.now.nodes <= before + NAMES_STEP);
    }
    is_found(w->walk.last, MANY, 20, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(of_few_nodes_it_is_told_as_it_is_now),
        TEST(of_many_a_look_sees_a_part_and_tells_the_last_whole_walk),
        TEST(reports_carry_the_walk_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
