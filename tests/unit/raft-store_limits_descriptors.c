/* A master whose process has no descriptors left goes on writing, into new segments and with a new term. */
#include "tests/unit/raft-store_disk_world.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/spare.h"

#define LIMIT       256
#define LARGE       (900u << 10)
#define LARGE_COUNT 60 /* three segments of 16 MiB, and some */

struct taken {
    int fds[LIMIT];
    unsigned count;
};

static void use_up(struct taken *t)
{
    for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) {
        assert_true(t->count < LIMIT);
        t->fds[t->count++] = fd;
    }
    assert_int_equal(errno, EMFILE);
}

static void give_back(struct taken *t)
{
    while (t->count > 0) {
        close(t->fds[--t->count]);
    }
}

static void kept_descriptors_are_given_up_one_by_one_and_come_back(void **state)
{
    (void)state;
    struct taken t = {.count = 0};
    assert_int_equal(spare_keep(3), 3);
    use_up(&t);
    int fds[4];
    for (int i = 0; i < 3; i++) {
        fds[i] = spare_open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
    }
    fds[3] = spare_open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
    assert_true(fds[3] < 0 && errno == EMFILE);
    assert_int_equal(spare_keep(3), 0);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(spare_keep(3), 2);
    DIR *d = spare_opendir("/");
    assert_non_null(d);
    closedir(d);
    char name[] = "/tmp/reeve-test-XXXXXX";
    assert_int_equal(spare_keep(3), 2); /* what the directory had is free again */
    use_up(&t);
    int fd = spare_mkostemp(name, O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
    unlink(name);
    close(fds[2]);
    give_back(&t);
    assert_int_equal(spare_keep(0), 0);
}

static void write_large(struct world3 *w, unsigned i)
{
    static char data[LARGE + 1];
    struct write done = {0};
    struct txn t;
    char name[32];
    for (unsigned at = 0; at < LARGE; at += 8) { /* nothing that lz4 would make small */
        snprintf(data + at, 9, "%08x", (at * 2654435761u) ^ (i * 40503u));
    }
    snprintf(name, sizeof name, "large%05u", i);
    txn_init(&t, "test");
    txn_create(&t, config_map("default", name, "k", data));
    replica_submit(leader(w)->replica, &t, on_write, &done, NULL);
    txn_close(&t);
    KIT_UNTIL(&w->loop, done.answered);
    assert_int_equal(done.code, 0);
}

static void a_log_goes_on_into_new_segments_without_descriptors(void **state)
{
    (void)state;
    static struct world3 w;
    struct taken t = {.count = 0};
    world_open(&w);
    w.snapshot_entries = 100000;
    member_start(&w, 1, true);
    write_ok(&w, 1);
    use_up(&t);
    for (unsigned i = 0; i < LARGE_COUNT; i++) {
        write_large(&w, i);
        if (i % 20 == 0) {
            use_up(&t); /* what became free with the last segment: what is kept has to do */
        }
    }
    assert_false(w.members[1].fatal);
    assert_int_equal(count(&w.members[1]), LARGE_COUNT + 1);
    give_back(&t);
    member_stop(&w, 1);
    member_start(&w, 1, false);
    KIT_UNTIL(&w.loop, leader(&w) != NULL && count(&w.members[1]) == LARGE_COUNT + 1);
    /* A term, a vote and their mark, with none but those that are kept. */
    member_stop(&w, 1);
    member_start(&w, 1, false);
    use_up(&t);
    KIT_UNTIL(&w.loop, leader(&w) != NULL);
    write_ok(&w, 2);
    assert_false(w.members[1].fatal);
    give_back(&t);
    world_close(&w);
}

int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = LIMIT;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_descriptors_are_given_up_one_by_one_and_come_back),
        cmocka_unit_test(a_log_goes_on_into_new_segments_without_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
