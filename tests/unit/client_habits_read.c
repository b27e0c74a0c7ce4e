/* How people look at a cluster with kubectl, typed with rctl. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    struct habits *h = habits_start(2);
    habits_must(
        h, "rctl create deployment web --image=web:1 --replicas=2 && rctl wait deploy/web --for=condition=Available",
        NULL);
    *state = h;
    return 0;
}

static int tear_down(void **state)
{
    habits_stop(*state);
    return 0;
}

static void several_types_at_once(void **state)
{
    static const struct habit rows[] = {
        {"rctl get pods,deploy", NULL, 0, "pod/web-\ndeployment.apps/web ", "="},
        {"rctl get all", NULL, 0, "pod/web-\ndeployment.apps/web \nreplicaset.apps/web-", "="},
        {"rctl get deploy/web pods/none -o name", NULL, 5, "=deployment.apps/web\n",
         "=Error from server (NotFound): pods \"none\" not found\n"},
        {"rctl get pods none --ignore-not-found", NULL, 0, "=", "="},
        {"rctl get pods -l app=none", NULL, 0, "=", "=No resources found in default namespace.\n"},
    };
    habits_run(*state, rows, ARRAY_SIZE(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_types_at_once),
    };
    return KIT_RUN(tests, set_up, tear_down);
}
