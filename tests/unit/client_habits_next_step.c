/* What stands in the way is named, and what to do next is said: limits, finalizers, pods without a node, wrong
 * addresses. */
#include "tests/unit/kit/habits.h"

static int set_up(void **state)
{
    return habits_set_up(state, 0, NULL, NULL);
}

static void files_that_are_too_large_are_to_be_split(void **state)
{
    static const struct habit rows[] = {
        {"head -c 17000000 /dev/zero | tr '\\0' '#' > big.yaml; rctl apply -f big.yaml", NULL, 1, "=",
         "big.yaml is larger than 16777216 bytes; split it"},
        {"head -c 2000000 /dev/zero | tr '\\0' 'x' > big.txt; rctl create cm x --from-file=big.txt", NULL, 1, "=",
         "big.txt is larger than 1572864 bytes; no object may hold more"},
    };
    RUN(rows);
}

static void what_holds_a_deleted_object_is_named(void **state)
{
    static const struct habit rows[] = {
        {"rctl create cm fin --from-literal=a=b && rctl patch cm fin --type=merge -p "
         "'{\"metadata\":{\"finalizers\":[\"example.com/hold\",\"example.com/too\"]}}'",
         NULL, 0, "patched"},
        {"rctl delete cm fin --timeout=1s", NULL, HABIT_ANY, "configmap \"fin\" deleted",
         "configmap/fin is being deleted, and stays until its finalizers are taken away: example.com/hold, "
         "example.com/too\ntimed out waiting for the condition: it is held by the finalizers example.com/hold, "
         "example.com/too\nrctl patch configmap fin --type=merge"},
        {"rctl patch cm fin --type=merge -p '{\"metadata\":{\"finalizers\":null}}' -o yaml", NULL, 0,
         "name: fin\n!finalizers"},
        {"rctl get cm fin", NULL, 5, "="},
    };
    RUN(rows);
}

static void a_pod_without_a_node_is_refused_at_once(void **state)
{
    static const struct habit rows[] = {
        {"rctl run alone --image=x:1 && rctl wait --for=condition=PodScheduled=false pod/alone --timeout=60s", NULL, 0,
         "condition met"},
        {"rctl exec alone -- ls", NULL, 1, "=",
         "!waiting\nError from server (BadRequest): pod \"alone\" does not have a host assigned\nrctl describe pod "
         "alone"},
        {"rctl logs alone", NULL, 1, "=", "!waiting\nBadRequest\ndoes not have a host assigned"},
    };
    RUN(rows);
}

/* A value of 700,000 bytes, of which kubectl's annotation cannot keep a copy. */
#define BIG                                                                                                            \
    "head -c 700000 /dev/zero | tr '\\0' x > blob; rctl create cm big --from-file=blob --dry-run=client -o yaml "
static void a_large_object_is_applied_by_the_server_side(void **state)
{
    static const struct habit rows[] = {
        {BIG "> cm.yaml; rctl apply -f cm.yaml", NULL, 1, "=",
         "metadata.annotations: Too long: may not be more than 262144 bytes\napply it with --server-side"},
        {"sed 's/^data:/data:\\n  small: one/' cm.yaml > more.yaml && rctl apply --server-side -f more.yaml", NULL, 0,
         "=configmap/big serverside-applied\n", "="},
        {"rctl get cm big -o jsonpath='{.data.small} {.metadata.annotations}'", NULL, 0, "=one "},
        /* what has left the manifest goes, what others added stays */
        {"rctl patch cm big --type=merge -p '{\"data\":{\"theirs\":\"kept\"}}'", NULL, 0, "patched"},
        {"rctl apply --server-side -f cm.yaml", NULL, 0, "=configmap/big serverside-applied\n", "="},
        {"rctl get cm big -o jsonpath='{.data.small}-{.data.theirs}'", NULL, 0, "=-kept"},
        {"rctl get cm big -o jsonpath='{.data.blob}' | wc -c", NULL, 0, "=700000\n"},
    };
    RUN(rows);
}

/* Before anything is made below it, and not by an assertion when the first pod with a long name comes. */
static void directories_with_long_paths_are_refused_at_the_start(void **state)
{
    habits_must(*state, "x=$(printf 'x%.0s' $(seq 150)); mkdir -p $x/$x && ln -s $(dirname $(command -v rctl)) bin",
                NULL);
    static const struct habit rows[] = {
        {"rctl up --dir */xxx*", NULL, 1, "=", "--dir: the path has\nat most 230 are allowed"},
        {"bin/reeve-agent run --dir */xxx*", NULL, 2, "=", "a path of more than 255 characters is too long"},
        {"cd */xxx* && ../../bin/reeve-agent run --dir .", NULL, 1, "=", "at most 255 are allowed: move the directory"},
        {"bin/reeve-master run --dir $(printf 'x%.0s' $(seq 600))", NULL, HABIT_ANY, "=",
         "the path of --dir is too long"},
    };
    RUN(rows);
}

/* "rctl up" beside masters that were started by hand: it neither works in their directories nor removes them. */
static void up_leaves_alone_what_was_started_by_hand(void **state)
{
    struct habits *h = *state;
    habits_must(h,
                "test -e bin || ln -s $(dirname $(command -v rctl)) bin; bin/reeve-master init --dir hand --listen "
                "127.0.0.1:17490 && "
                "rctl up --dir ours --masters 1 --agents 0 --port 17500 && kill $(cut -d' ' -f1 ours/run/m1.pid)",
                NULL);
    habits_until(h, "! kill -0 $(cut -d' ' -f1 ours/run/m1.pid)");
    habits_must(h, "{ bin/reeve-master run --dir ours/masters/m1 >hand.log 2>&1 & } ; echo $! >hand.pid", NULL);
    habits_until(h, "rctl --config ours/config get ns");
    static const struct habit counts[] = {
        {"rctl up --dir even --masters 4; x=$?; test ! -e even && exit $x", NULL, 2, "=",
         "--masters is 1, 3, 5 or 7, not 4\n4 masters can lose no more than 3 can"},
        {"rctl up --dir even --masters 0", NULL, 2, "=", "--masters"},
        {"rctl up --dir ours --masters 2", NULL, 2, "=", "not 2"},
        {"rctl up --dir ours --port 17900", NULL, 2, "=", "--port is for new masters, and there are none to be made"},
    };
    RUN(counts);
    static const struct habit rows[] = {
        {"rctl up --dir hand", NULL, 1, "=", "hand is the data directory of a reeve-master that was made by hand"},
        {"rctl down --dir hand; test -e hand/master.yaml", NULL, 0, "=", "give another --dir"},
        {"rctl up --dir ours", NULL, 1, NULL,
         "a reeve-master that \"rctl up\" did not start works in\nours/masters/m1; stop that one first"},
        {"rctl down --dir ours; test -e ours/masters/m1/master.yaml", NULL, 0, "=", "did not start works in"},
        {"kill $(cat hand.pid)", NULL, 0},
    };
    RUN(rows);
    habits_until(h, "! kill -0 $(cat hand.pid)");
    static const struct habit after[] = {
        {"REEVE_CONFIG=other rctl up --dir ours", NULL, 0,
         "REEVE_CONFIG names another configuration at present, other"},
        {"rctl down --dir ours; test -e ours", NULL, 1, "and removed"},
    };
    RUN(after);
}

static void addresses_of_masters_may_have_commas(void **state)
{
    static const struct habit rows[] = {
        {"cp config two && rctl --config two config set-servers a:1,b:2 c:3", NULL, 0,
         "knows 3 masters now: a:1 b:2 c:3"},
        {"rctl --config two config view -o jsonpath='{.clusters[0].cluster.servers[1]}'", NULL, 0, "=b:2"},
        {"rctl --config two config set-servers ,", NULL, 2, "=", "no HOST:PORT"},
    };
    RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_too_large_are_to_be_split),
        cmocka_unit_test(what_holds_a_deleted_object_is_named),
        cmocka_unit_test(a_pod_without_a_node_is_refused_at_once),
        cmocka_unit_test(a_large_object_is_applied_by_the_server_side),
        cmocka_unit_test(directories_with_long_paths_are_refused_at_the_start),
        cmocka_unit_test(up_leaves_alone_what_was_started_by_hand),
        cmocka_unit_test(addresses_of_masters_may_have_commas),
    };
    return cmocka_run_group_tests(tests, set_up, habits_tear_down);
}
