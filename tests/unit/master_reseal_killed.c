/* The key that seals Secrets is replaced while masters are killed. */
#include "tests/unit/kit/reseal_kit.h"

static unsigned died;

static void revive_meanwhile(struct kit *k)
{
    died += start_the_dead(k);
    write_one(&writer);
}

/* With this it is as good as over: who begins one now may begin the next. */
static bool somebody_dropped(struct kit *k, const struct pki_ring *former)
{
    char id[PKI_RING_ID_SIZE];
    bool dropped = false;
    pki_ring_id(former->keys[0], id);
    for (unsigned i = 0; i < 3; i++) {
        struct pki_ring keys = keys_of(k, i);
        dropped = dropped || pki_ring_find(&keys, id) < 0;
    }
    return dropped;
}

/* All masters are stopped before and after. */
static void replace_with(struct kit *k, const char *failpoints)
{
    struct pki_ring former = keys_of(k, 0);
    for (unsigned i = 0; i < 3; i++) {
        kit_start_armed(k, i, failpoints);
    }
    died = 0;
    k->meanwhile = revive_meanwhile;
    const char *begin[] = {"cert", "rotate-seal", "--no-wait", NULL};
    kit_rctl(k, NULL, begin); /* its answer may die with the masters, and what it has begun with it */
    for (int64_t until = kit_now() + KIT_WAIT_MS; died == 0 || !all_have_another(k, &former, 3);) {
        died += start_the_dead(k);
        write_one(&writer);
        if (somebody_dropped(k, &former)) {
            kit_turn(k, 20); /* it ends by itself, and the last one dies behind the last step */
        } else {
            kit_rctl(k, NULL, begin);
        }
        if (kit_now() > until) {
            fail_msg("%s: %u died, and it does not end: %s", failpoints, died, wait_for_status(k, ""));
        }
    }
    k->meanwhile = NULL;
    wait_for_end(k);
    stop_all(k, SIGKILL); /* one may be dying just now, behind the last step */
    start_all(k, 3);
    check_disks(k, &former, 3);
}

/* The leader, where it makes the key and before and after each step; all masters, where they store the key, remove what
 * the former one has sealed, and drop it. */
static void replace_with_each(void **state, const char *const *points, size_t count)
{
    struct kit *k = three(state);
    stop_all(k, SIGTERM);
    for (size_t p = 0; p < count; p++) {
        replace_with(k, points[p]);
    }
    start_all(k, 3);
    read_back(&writer);
}

static void whoever_is_killed_wherever_it_ends(void **state)
{
    static const char *const points[] = {
        "reseal_before_key=crash@1",   "reseal_after_key=crash@1",   "reseal_before_step=crash@1",
        "reseal_before_step=crash@2",  "reseal_before_step=crash@3", "reseal_before_step=crash@4",
        "reseal_after_step=crash@1",   "reseal_after_step=crash@2",  "reseal_after_step=crash@3",
        "reseal_before_store=crash@1",
    };
    replace_with_each(state, points, ARRAY_SIZE(points));
}

static void whoever_is_killed_while_the_former_key_goes(void **state)
{
    static const char *const points[] = {"clean_before_prune=crash@1", "reseal_before_drop=crash@1"};
    replace_with_each(state, points, ARRAY_SIZE(points));
}

static void all_masters_are_killed_in_each_phase(void **state)
{
    static const char *const phases[] = {"spread", "use", "clean", "drop"};
    struct kit *k = three(state);
    for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
        struct pki_ring former = keys_of(k, 0);
        hold_in(k, phases[p]);
        for (unsigned i = 0; i < 10; i++) {
            write_one(&writer);
        }
        stop_all(k, SIGKILL);
        start_all(k, 3);
        check_disks(k, &former, 3);
    }
    start_all(k, 3);
    read_back(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whoever_is_killed_wherever_it_ends, tear_down),
        cmocka_unit_test_teardown(whoever_is_killed_while_the_former_key_goes, tear_down),
        cmocka_unit_test_teardown(all_masters_are_killed_in_each_phase, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
