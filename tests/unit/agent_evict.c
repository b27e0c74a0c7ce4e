/* Limits for the disk: what is measured, and when a pod goes. */
#include "tests/unit/agent_fakes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pod/evict.h"
#include "agent/pod/threshold.h"
#include "agent/util/fsutil.h"

#define MI           (1ull << 20)
#define BOX(n, disk) "{'name':'" n "','image':'i','resources':{'limits':{'ephemeral-storage':'" disk "'}}}"
#define FREE(n)      "{'name':'" n "','image':'i'}"
#define VOLUMES                                                                                                        \
    "'volumes':[{'name':'v','emptyDir':{'sizeLimit':'2Mi'}},{'name':'m','emptyDir':{'medium':'Memory','sizeLimit':'"   \
    "1Mi'}},{'name':'free','emptyDir':{}},{'name':'h','hostPath':{'path':'/x'}}],"

static const struct {
    const char *spec;
    uint64_t volumes[4], containers[2]; /* MiB */
    const char *message;                /* NULL = it stays */
} rows[] = {
    {VOLUMES "'containers':[" FREE("a") "]", {2, 9, 9, 9}, {99}, NULL},
    {VOLUMES "'containers':[" FREE("a") "]", {3}, {0}, "Usage of EmptyDir volume \"v\" exceeds the limit \"2Mi\". "},
    {"'containers':[" BOX("a", "4Mi") "]", {0}, {4}, NULL},
    {"'containers':[" BOX("a", "4Mi") "," FREE("b") "]",
     {0},
     {3, 2},
     "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. "},
    {"'containers':[" BOX("a", "4Mi") "," BOX("b", "8Mi") "]",
     {0},
     {5, 1},
     "Container a exceeded its local ephemeral storage limit \"4Mi\". "},
    {"'containers':[" BOX("a", "4Mi") "," BOX("b", "8Mi") "]", {0}, {4, 8}, NULL},
    /* emptyDirs on disk count for the pod, those in memory do not */
    {VOLUMES "'containers':[" BOX("a", "4Mi") "]", {1, 50, 2, 50}, {1}, NULL},
    {VOLUMES "'containers':[" BOX("a", "4Mi") "]",
     {1, 0, 3, 0},
     {1},
     "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. "},
};

static void a_pod_that_goes_beyond_a_limit_is_evicted_with_the_kubelets_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct podspec *s = spec_of(rows[i].spec);
        uint64_t volumes[4], containers[2];
        char message[EVICT_MESSAGE_MAX] = "";
        for (unsigned k = 0; k < 4; k++) {
            volumes[k] = rows[i].volumes[k] * MI;
        }
        for (unsigned k = 0; k < 2; k++) {
            containers[k] = rows[i].containers[k] * MI;
        }
        assert_true(evict_has_limits(s));
        bool goes = evict_decide(s, &(struct evict_usage){volumes, containers}, message);
        if (goes != (rows[i].message != NULL) || (goes && strcmp(message, rows[i].message) != 0)) {
            fail_msg("row %zu: %s", i, message);
        }
        podspec_free(s);
    }
}

static void a_pod_without_limits_is_not_measured(void **state)
{
    (void)state;
    struct podspec *s = spec_of("'volumes':[{'name':'m','emptyDir':{'medium':'Memory','sizeLimit':'1Mi'}}],"
                                "'containers':[{'name':'a','image':'i','resources':{'limits':{'cpu':'1'}}}]");
    assert_false(evict_has_limits(s));
    podspec_free(s);
}

static void write_bytes(const char *dir, const char *name, size_t n)
{
    char path[128];
    CLEANUP_BUF struct buf b = BUF_INIT;
    memset(buf_reserve(&b, n), 7, n);
    b.size = n;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
    assert_int_equal(fs_write_file(path, buf_str(&b), 0644, true, NULL), 0);
}

static void what_lies_in_a_tree_is_counted_once(void **state)
{
    (void)state;
    char dir[] = "/tmp/reeve-evict-XXXXXX", from[64], to[64];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(evict_measure("/no/such/directory"), 0);
    write_bytes(dir, "one", 1 << 20);
    write_bytes(dir, "a/b/c/two", 1 << 20);
    uint64_t both = evict_measure(dir);
    assert_in_range(both, 2 * MI, 2 * MI + (64 << 10));
    /* a second name, and a link to a large place, add nothing */
    snprintf(from, sizeof from, "%s/one", dir);
    for (int i = 0; i < 100; i++) {
        snprintf(to, sizeof to, "%s/a/again-%d", dir, i);
        assert_int_equal(link(from, to), 0);
    }
    snprintf(to, sizeof to, "%s/usr", dir);
    assert_int_equal(symlink("/usr", to), 0);
    assert_in_range(evict_measure(dir), both, both + (64 << 10));
    /* nor does what a file only claims to hold */
    snprintf(to, sizeof to, "%s/hole", dir);
    CLEANUP_CLOSE int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 1 << 30), 0);
    assert_in_range(evict_measure(dir), both, both + (64 << 10));
    fs_remove_tree(dir, NULL);
}

static void of_those_short_of_memory_who_takes_more_than_he_asked_for_goes_first(void **state)
{
    (void)state;
    static const struct evict_candidate order[] = {
        /* in the order in which they go */
        {.priority = 0, .used = 90, .requested = 0},   {.priority = 0, .used = 200, .requested = 150},
        {.priority = 10, .used = 500, .requested = 1}, {.priority = -5, .used = 50, .requested = 60},
        {.priority = 0, .used = 99, .requested = 100}, {.priority = 0, .used = 50, .requested = 100},
        {.priority = 1, .used = 100, .requested = 100}};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
            assert_int_equal(evict_takes_first(&order[i], &order[k]), i < k);
        }
    }
    char message[EVICT_MESSAGE_MAX];
    evict_memory_message(&(struct evict_candidate){.used = 300 << 20, .requested = 64 << 20}, 100 << 20, 50 << 20,
                         message);
    assert_string_equal(message,
                        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. The "
                        "pod was using 300Mi, it requests 64Mi. ");
    evict_pids_message(&(struct evict_candidate){.used = 900}, 3276, 12, message);
    assert_string_equal(
        message, "The node was low on resource: pids. Threshold quantity: 3276, available: 12. The pod had 900. ");
}

static void thresholds_are_read_as_the_kubelets(void **state)
{
    (void)state;
    struct thresholds t;
    struct error err = {0};
    thresholds_default(&t);
    assert_int_equal(threshold_of(&t.memory, 8ll << 30), 100 << 20);
    assert_int_equal(threshold_of(&t.disk, 1000), 100);
    assert_int_equal(threshold_of(&t.pids, 32768), 3276);
    assert_int_equal(thresholds_parse(STR("memory.available<5%,pid.available<1k"), &t, &err), 0);
    assert_int_equal(threshold_of(&t.memory, 1999), 99);
    assert_int_equal(threshold_of(&t.memory, INT64_MAX), INT64_MAX / 20);
    assert_int_equal(threshold_of(&t.pids, 32768), 1000);
    assert_int_equal(threshold_of(&t.disk, 1000), 100); /* as it was */
    static const char *const bad[] = {"memory",
                                      "memory.available",
                                      "memory.available<",
                                      "memory.available<x",
                                      "memory.available<-1",
                                      "memory.available<101%",
                                      "imagefs.available<10%",
                                      "memory.available<1Gi,,",
                                      "<5%"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (thresholds_parse(str_of(bad[i]), &t, &err) != ERR_INVALID) {
            fail_msg("%s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_that_goes_beyond_a_limit_is_evicted_with_the_kubelets_words),
        cmocka_unit_test(a_pod_without_limits_is_not_measured),
        cmocka_unit_test(of_those_short_of_memory_who_takes_more_than_he_asked_for_goes_first),
        cmocka_unit_test(thresholds_are_read_as_the_kubelets),
        cmocka_unit_test(what_lies_in_a_tree_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
