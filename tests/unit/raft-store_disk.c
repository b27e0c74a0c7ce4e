/* Masters on real disks (raft-store_disk_world.h): what they have written is there after every kind of end. */
#include "tests/unit/raft-store_disk_world.h"

static void one_master_keeps_what_it_has_written(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    w.snapshot_entries = 8;
    member_start(&w, 1, true);
    for (unsigned i = 0; i < 30; i++) {
        write_ok(&w, i);
    }
    struct replica_stats stats;
    KIT_UNTIL(&w.loop, (replica_stats(w.members[1].replica, &stats), stats.snapshots >= 2));
    member_stop(&w, 1);
    member_start(&w, 1, false);
    KIT_UNTIL(&w.loop, leader(&w) != NULL);
    assert_int_equal(count(&w.members[1]), 30);
    write_ok(&w, 31);
    world_close(&w);
}

static void three_masters_replicate_over_tls(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    w.snapshot_entries = 16;
    member_start(&w, 1, true);
    write_ok(&w, 0);
    join(&w, 2);
    join(&w, 3);
    for (unsigned i = 1; i < 20; i++) {
        write_ok(&w, i);
    }
    for (unsigned id = 1; id <= 3; id++) {
        KIT_UNTIL(&w.loop, count(&w.members[id]) == 20);
    }
    struct write read = {0};
    replica_read(leader(&w)->replica, on_read, &read);
    KIT_UNTIL(&w.loop, read.answered);
    assert_int_equal(read.code, 0);
    /* The leader stops; the others go on; it comes back to a log that was cut: a snapshot. */
    unsigned away = (unsigned)leader(&w)->id;
    member_stop(&w, away);
    struct replica_stats stats;
    unsigned written = 20;
    do {
        write_ok(&w, written++);
        replica_stats(leader(&w)->replica, &stats);
    } while (written < 60 || stats.snapshots < 2);
    member_start(&w, away, false);
    KIT_UNTIL(&w.loop, count(&w.members[away]) == written);
    assert_views_equal(store_committed(replica_store(w.members[away].replica)),
                       store_committed(replica_store(leader(&w)->replica)));
    write_ok(&w, written);
    world_close(&w);
}

struct answer {
    bool answered;
    int code;
    int64_t from, me;
};
static void on_answer(const struct rpc_result *result, void *data)
{
    struct answer *a = data;
    a->answered = true;
    a->code = result->error == NULL ? 0 : result->error->code;
    a->from = mp_int(mp_get(result->result, "from"), 0);
    a->me = mp_int(mp_get(result->result, "me"), 0);
}

static void calls_go_between_masters(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    member_start(&w, 1, true);
    KIT_UNTIL(&w.loop, leader(&w) != NULL);
    join(&w, 2);
    for (unsigned from = 1; from <= 2; from++) {
        struct answer a = {0};
        KIT_UNTIL(&w.loop, transport_session(w.members[from].transport, 3 - from) != NULL);
        transport_call(w.members[from].transport, 3 - from, "forward", STR("\x80"), 1000, on_answer, &a);
        KIT_UNTIL(&w.loop, a.answered);
        assert_int_equal(a.code, 0);
        assert_int_equal(a.from, from);
        assert_int_equal(a.me, 3 - from);
    }
    struct answer nobody = {0};
    transport_call(w.members[1].transport, 9, "forward", STR("\x80"), 1000, on_answer, &nobody);
    assert_false(nobody.answered);
    KIT_UNTIL(&w.loop, nobody.answered);
    assert_int_equal(nobody.code, ERR_CLOSED);
    world_close(&w);
}

static void copy_file(const char *from, const char *to)
{
    CLEANUP_CLOSE int in = open(from, O_RDONLY);
    CLEANUP_CLOSE int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    char block[65536];
    ssize_t n;
    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, block, sizeof block)) > 0) {
        assert_int_equal(write(out, block, (size_t)n), n);
    }
    assert_int_equal(n, 0);
}

/* The files of a directory as they are now, as a crash would leave them. */
static void copy_files(const char *from, const char *to)
{
    DIR *d = opendir(from);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] != '.') {
            CLEANUP_FREE char *source = xasprintf("%s/%s", from, e->d_name);
            CLEANUP_FREE char *target = xasprintf("%s/%s", to, e->d_name);
            copy_file(source, target);
        }
    }
    closedir(d);
}

static size_t memory_used(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static void a_segment_open_at_a_crash_takes_no_more_memory_than_its_entries(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    member_start(&w, 1, true);
    for (unsigned i = 0; i < 10; i++) {
        write_ok(&w, i);
    }
    CLEANUP_FREE char *kept = xasprintf("%s/kept", w.base);
    assert_int_equal(mkdir(kept, 0700), 0);
    copy_files(w.members[1].dir, kept);
    member_stop(&w, 1);
    remove_tree(w.members[1].dir);
    assert_int_equal(rename(kept, w.members[1].dir), 0);
    size_t before = memory_used();
    member_start(&w, 1, false);
    assert_true(memory_used() < before + (8u << 20));
    KIT_UNTIL(&w.loop, leader(&w) != NULL);
    assert_int_equal(count(&w.members[1]), 10);
    write_ok(&w, 10);
    world_close(&w);
}

/* Flip a byte in the middle of the first file whose name begins so. */
static void damage(const char *dir, const char *prefix, off_t at)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0) {
            CLEANUP_FREE char *path = xasprintf("%s/%s", dir, e->d_name);
            CLEANUP_CLOSE int fd = open(path, O_RDWR);
            uint8_t byte;
            assert_int_equal(pread(fd, &byte, 1, at), 1);
            byte ^= 0x55;
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
            closedir(d);
            return;
        }
    }
    fail_msg("no file %s* in %s", prefix, dir);
}

static void a_damaged_segment_is_named_and_nothing_is_thrown_away(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    member_start(&w, 1, true);
    for (unsigned i = 0; i < 10; i++) {
        write_ok(&w, i);
    }
    member_stop(&w, 1); /* closes the open segment */
    damage(w.members[1].dir, "0000000000000002-", 400);
    struct error err = {0};
    assert_int_equal(member_open(&w, 1, false, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "0000000000000002-"));
    member_stop(&w, 1);
    damage(w.members[1].dir, "0000000000000002-", 400); /* back as it was */
    member_start(&w, 1, false);
    KIT_UNTIL(&w.loop, leader(&w) != NULL);
    assert_int_equal(count(&w.members[1]), 10);
    world_close(&w);
}

static void a_directory_that_is_none_is_an_error(void **state)
{
    (void)state;
    struct world3 w;
    world_open(&w);
    struct error err = {0};
    rmdir(w.members[1].dir);
    assert_true(member_open(&w, 1, false, &err) != 0);
    assert_non_null(strstr(err.message, w.members[1].dir));
    member_stop(&w, 1);
    close(open(w.members[1].dir, O_CREAT | O_WRONLY, 0600));
    assert_true(member_open(&w, 1, false, &err) != 0);
    assert_non_null(strstr(err.message, w.members[1].dir));
    member_stop(&w, 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_master_keeps_what_it_has_written),
        cmocka_unit_test(three_masters_replicate_over_tls),
        cmocka_unit_test(calls_go_between_masters),
        cmocka_unit_test(a_segment_open_at_a_crash_takes_no_more_memory_than_its_entries),
        cmocka_unit_test(a_damaged_segment_is_named_and_nothing_is_thrown_away),
        cmocka_unit_test(a_directory_that_is_none_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
