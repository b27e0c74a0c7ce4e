/* Events in the order in which they happened, also within one second and within one report of a node. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 1, NULL, NULL);
}

#define REASONS "--field-selector involvedObject.name=x -o jsonpath='{range .items[*]}{.reason} {end}'"
#define ORDER   "=Scheduled Pulled Created Started "

static void events_of_one_second_are_shown_as_they_happened(void **state)
{
    static const struct habit rows[] = {
        {"rctl run x --image=x:1 && rctl wait --for=condition=Ready pod/x --timeout=60s", NULL, 0, "condition met"},
        {"rctl get events " REASONS, NULL, 0, ORDER},
        {"rctl get events --sort-by=.metadata.creationTimestamp " REASONS, NULL, 0, ORDER},
        {"rctl get events --sort-by=.lastTimestamp " REASONS, NULL, 0, ORDER},
        {"rctl get events --sort-by=.firstTimestamp " REASONS, NULL, 0, ORDER},
        {"rctl events --for pod/x -o jsonpath='{range .items[*]}{.reason} {end}'", NULL, 0, ORDER},
        {"rctl describe pod x | sed -n '/^Events:/,$p' | awk 'NR > 3 { printf \"%s \", $2 }'", NULL, 0, ORDER},
        {"rctl get events -o jsonpath='{.items[0].eventTime}' | grep -cE '^[-0-9]+T[:0-9]+\\.[0-9]{6}Z$'", NULL, 0,
         "=1\n"},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_one_second_are_shown_as_they_happened),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
