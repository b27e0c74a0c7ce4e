#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/runtime/logfile.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

struct fixture {
    uv_loop_t loop;
    uv_timer_t limit;
    char dir[64], path[128];
    struct buf out;
    unsigned ends;
    int error;
    struct logfile_reader *reader;
    const char *stop_at; /* stop the loop when the output ends like this */
    unsigned begins, gaps;
    bool cut, cut_at_begin; /* the first data, or the beginning, cancel the reader */
    struct logfile_position at;
};

static void on_data(struct logfile_reader *r, const uint8_t *p, size_t n, void *data)
{
    struct fixture *f = data;
    assert_true(f->begins > 0);
    buf_append(&f->out, p, n);
    f->at = logfile_tell(r);
    if (f->cut) {
        logfile_cancel(r);
    }
    if (f->stop_at != NULL && str_ends(buf_str(&f->out), str_of(f->stop_at))) {
        uv_stop(&f->loop);
    }
}
static void on_end(struct logfile_reader *r, const struct error *err, void *data)
{
    struct fixture *f = data;
    (void)r;
    f->ends++;
    f->error = err == NULL ? 0 : err->code;
    uv_stop(&f->loop);
}
static void on_begin(struct logfile_reader *r, void *data)
{
    struct fixture *f = data;
    f->begins++;
    f->at = logfile_tell(r);
    if (f->cut_at_begin) {
        logfile_cancel(r);
    }
}
static void on_gap(struct logfile_reader *r, void *data)
{
    struct fixture *f = data;
    (void)r;
    assert_true(f->begins > 0);
    f->gaps++;
}
static const struct logfile_events events = {
    .on_begin = on_begin, .on_gap = on_gap, .on_data = on_data, .on_end = on_end};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    strcpy(f->dir, "/tmp/reeve-logfile-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/0.log", f->dir);
    *state = f;
    return 0;
}
static int teardown(void **state)
{
    struct fixture *f = *state;
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fs_remove_tree(f->dir, NULL);
    buf_close(&f->out);
    free(f);
    return 0;
}

static void append(const char *path, const char *text)
{
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}
/* Record number n, at second n. */
static void add_line(const char *path, unsigned n)
{
    char line[128];
    snprintf(line, sizeof line, "2026-01-02T03:04:%02u.000000001+00:00 stdout F line %u\n", n % 60, n);
    append(path, line);
}

static const char *read_all(struct fixture *f, struct logfile_options o)
{
    buf_reset(&f->out);
    unsigned before = f->ends;
    logfile_read(&f->loop, f->path, &o, &events, f);
    assert_int_equal(f->ends, before);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->ends, before + 1);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    return buf_cstr(&f->out);
}

static void records_are_parsed(void **state)
{
    (void)state;
    struct logfile_line l;
    assert_true(logfile_parse(STR("2026-01-02T03:04:05.678901234Z stdout F some text "), &l));
    assert_int_equal(l.fd, 1);
    assert_false(l.partial);
    assert_true(str_is(l.text, "some text "));
    assert_true(str_is(l.stamp, "2026-01-02T03:04:05.678901234Z"));
    assert_int_equal(l.wall_ms % 1000, 678);
    assert_true(logfile_parse(STR("2026-01-02T03:04:05.6+02:00 stderr P x"), &l));
    assert_int_equal(l.fd, 2);
    assert_true(l.partial);
    assert_true(logfile_parse(STR("2026-01-02T03:04:05Z stdout F "), &l));
    assert_int_equal(l.text.n, 0);
    assert_true(logfile_parse(STR("2026-01-02T03:04:05Z stdout F"), &l));
    assert_true(logfile_parse(STR("2026-01-02T03:04:05Z stdout P:x text"), &l));
    assert_true(l.partial && str_is(l.text, "text"));
    static const char *const bad[] = {"",
                                      "x",
                                      "2026-01-02T03:04:05Z",
                                      "2026-01-02T03:04:05Z stdin F x",
                                      "2026-01-02T03:04:05Z stdout X x",
                                      "2026-01-02T03:04:05Z stdout FX x",
                                      "yesterday stdout F x",
                                      "2026-01-02T03:04:05Z stdout "};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(logfile_parse(str_of(bad[i]), &l));
    }
}

static void a_log_is_read_without_its_stamps(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= 3; i++) {
        add_line(f->path, i);
    }
    append(f->path,
           "torn rec\n2026-01-02T03:04:09Z stderr P par\n2026-01-02T03:04:09Z stderr F tial\n2026-01-02T03:04:09Z std");
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = -1}), "line 1\nline 2\nline 3\npartial\n");
}

static void tail_since_limit_and_stamps_choose(void **state)
{
    struct fixture *f = *state;
    int64_t since;
    for (unsigned i = 1; i <= 3000; i++) {
        add_line(f->path, i % 50);
    }
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = 2}), "line 49\nline 0\n");
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = 0}), "");
    CLEANUP_FREE char *all = xstrdup(read_all(f, (struct logfile_options){.tail_lines = -1}));
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = 5000}), all);
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = -1, .limit_bytes = 9}), "line 1\nli");
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = 1, .timestamps = true}),
                        "2026-01-02T03:04:00.000000001Z line 0\n");
    struct logfile_line l;
    assert_true(logfile_parse(STR("2026-01-02T03:04:49Z stdout F x"), &l));
    since = l.wall_ms;
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = 3, .since_wall_ms = since}), "line 49\n");
}

static void a_missing_log_is_an_error(void **state)
{
    struct fixture *f = *state;
    read_all(f, (struct logfile_options){.tail_lines = -1});
    assert_int_equal(f->error, ERR_NOT_FOUND);
}

static void rotated_files_belong_to_the_log(void **state)
{
    struct fixture *f = *state;
    char path[160];
    for (unsigned i = 1; i <= 8; i++) {
        add_line(f->path, 2 * i);
        add_line(f->path, 2 * i + 1);
        if (i < 8) {
            assert_true(logfile_rotate(f->path, 10, 3));
        }
    }
    assert_false(logfile_rotate(f->path, 1 << 20, 3));
    snprintf(path, sizeof path, "%s.3", f->path);
    assert_false(fs_exists(path));
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = -1}),
                        "line 12\nline 13\nline 14\nline 15\nline 16\nline 17\n");
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = 3}), "line 15\nline 16\nline 17\n");
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = 2}), "line 16\nline 17\n");
}

static void on_limit(uv_timer_t *t)
{
    uv_stop(t->loop);
}
static void run_until(struct fixture *f, const char *end)
{
    f->stop_at = end;
    if (!str_ends(buf_str(&f->out), str_of(end))) {
        uv_timer_start(&f->limit, on_limit, 120000, 0);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        uv_timer_stop(&f->limit);
    }
    assert_true(str_ends(buf_str(&f->out), str_of(end)));
}

static void following_goes_on_over_a_rotation(void **state)
{
    struct fixture *f = *state;
    uv_timer_init(&f->loop, &f->limit);
    add_line(f->path, 1);
    struct logfile_options o = {.tail_lines = -1, .follow = true};
    struct logfile_reader *r = logfile_read(&f->loop, f->path, &o, &events, f);
    run_until(f, "line 1\n");
    add_line(f->path, 2);
    run_until(f, "line 2\n");
    assert_true(logfile_rotate(f->path, 10, 3));
    char old[160];
    snprintf(old, sizeof old, "%s.1", f->path);
    add_line(old, 3); /* the writer's last word to the old file */
    add_line(f->path, 4);
    run_until(f, "line 4\n");
    assert_string_equal(buf_cstr(&f->out), "line 1\nline 2\nline 3\nline 4\n");
    /* paused: nothing comes */
    logfile_pause(r, true);
    add_line(f->path, 5);
    for (unsigned i = 0; i < 20; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_true(str_ends(buf_str(&f->out), STR("line 4\n")));
    logfile_pause(r, false);
    run_until(f, "line 5\n");
    assert_int_equal(f->ends, 0);
    logfile_finish(r);
    uv_close((uv_handle_t *)&f->limit, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->error, 0);
}

/* ---- Going on ---- */

static const char *go_on(struct fixture *f, struct logfile_position after, bool timestamps)
{
    return read_all(
        f, (struct logfile_options){.tail_lines = 1, .resume = true, .after = after, .timestamps = timestamps});
}

static void another_reader_goes_on_where_one_was_whatever_was_rotated_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct buf whole = BUF_INIT, got = BUF_INIT;
    char text[32];
    add_line(f->path, 0);
    assert_string_equal(read_all(f, (struct logfile_options){.tail_lines = -1}), "line 0\n");
    buf_append_str(&got, buf_str(&f->out));
    buf_append_str(&whole, STR("line 0\n"));
    for (unsigned i = 1; i < 300; i++) {
        if (i % 7 == 0) {
            logfile_rotate(f->path, 1, 4);
        }
        if (i % 7 != 0 || i % 2 == 0) { /* else: the new file is not there yet */
            add_line(f->path, i);
            snprintf(text, sizeof text, "line %u\n", i);
            buf_append_str(&whole, str_of(text));
        }
        if (i % 5 == 0) {
            go_on(f, f->at, false);
            buf_append_str(&got, buf_str(&f->out));
        }
    }
    go_on(f, f->at, false);
    buf_append_str(&got, buf_str(&f->out));
    assert_string_equal(buf_cstr(&got), buf_cstr(&whole));
    assert_int_equal(f->gaps, 0);
    buf_close(&whole);
    buf_close(&got);
}

static void a_long_log_read_in_pieces_is_whole(void **state)
{
    struct fixture *f = *state;
    struct buf got = BUF_INIT;
    unsigned pieces = 0;
    for (unsigned i = 0; i < 20000; i++) {
        char line[128];
        snprintf(line, sizeof line, "2026-01-02T03:04:05.%09uZ stdout %s number %u;\n", i, i % 3 == 0 ? "P" : "F", i);
        if (i % 6000 == 5999) {
            logfile_rotate(f->path, 1, 5);
        }
        append(f->path, line);
    }
    CLEANUP_FREE char *whole = xstrdup(read_all(f, (struct logfile_options){.tail_lines = -1, .timestamps = true}));
    f->at = (struct logfile_position){0};
    f->cut = true;
    do {
        buf_reset(&f->out);
        struct logfile_options o = {.resume = true, .after = f->at, .timestamps = true};
        logfile_read(&f->loop, f->path, &o, &events, f);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        buf_append_str(&got, buf_str(&f->out));
        pieces++;
    } while (f->out.size > 0);
    assert_true(pieces > 10);
    assert_string_equal(buf_cstr(&got), whole);
    assert_int_equal(f->gaps, 0);
    buf_close(&got);
}

static void where_a_tail_began_is_known_before_there_is_a_line(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 9; i++) {
        if (i == 3 || i == 6) {
            assert_true(logfile_rotate(f->path, 10, 5));
        }
        add_line(f->path, i);
    }
    read_all(f, (struct logfile_options){.tail_lines = 0});
    add_line(f->path, 9);
    assert_string_equal(go_on(f, f->at, false), "line 9\n");
    for (unsigned tail = 4; tail <= 7; tail += 3) { /* it begins with the first byte of a file */
        f->cut_at_begin = true;
        logfile_read(&f->loop, f->path, &(struct logfile_options){.tail_lines = tail}, &events, f);
        uv_run(&f->loop, UV_RUN_DEFAULT);
        f->cut_at_begin = false;
        assert_string_equal(go_on(f, f->at, false), tail == 4 ? "line 6\nline 7\nline 8\nline 9\n"
                                                              : "line 3\nline 4\nline 5\nline 6\nline 7\nline 8\n"
                                                                "line 9\n");
    }
}

static void what_was_rotated_away_is_a_gap_and_is_said(void **state)
{
    struct fixture *f = *state;
    add_line(f->path, 1);
    read_all(f, (struct logfile_options){.tail_lines = -1});
    struct logfile_position at = f->at;
    for (unsigned i = 2; i < 6; i++) {
        assert_true(logfile_rotate(f->path, 10, 2));
        add_line(f->path, i);
    }
    assert_string_equal(go_on(f, at, false), "line 4\nline 5\n");
    assert_int_equal(f->gaps, 1);
    /* A file that is shorter than the place, or another one altogether: the same. */
    at.offset = 1 << 20;
    assert_string_equal(go_on(f, at, false), "line 4\nline 5\n");
    assert_int_equal(f->gaps, 2);
}

static void a_follower_that_slept_through_two_rotations_misses_nothing(void **state)
{
    struct fixture *f = *state;
    uv_timer_init(&f->loop, &f->limit);
    add_line(f->path, 1);
    struct logfile_options o = {.tail_lines = -1, .follow = true};
    struct logfile_reader *r = logfile_read(&f->loop, f->path, &o, &events, f);
    run_until(f, "line 1\n");
    logfile_pause(r, true);
    for (unsigned i = 2; i < 5; i++) {
        add_line(f->path, i);
        assert_true(logfile_rotate(f->path, 10, 9));
    }
    add_line(f->path, 5);
    logfile_pause(r, false);
    run_until(f, "line 5\n");
    assert_string_equal(buf_cstr(&f->out), "line 1\nline 2\nline 3\nline 4\nline 5\n");
    assert_int_equal(f->gaps, 0);
    logfile_pause(r, true);
    for (unsigned i = 6; i < 12; i++) { /* and what is gone is said */
        assert_true(logfile_rotate(f->path, 10, 2));
        add_line(f->path, i);
    }
    logfile_pause(r, false);
    run_until(f, "line 11\n");
    assert_int_equal(f->gaps, 1);
    logfile_finish(r);
    uv_close((uv_handle_t *)&f->limit, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void a_cancelled_reader_says_nothing(void **state)
{
    struct fixture *f = *state;
    add_line(f->path, 1);
    struct logfile_options o = {.tail_lines = -1, .follow = true};
    logfile_cancel(logfile_read(&f->loop, f->path, &o, &events, f));
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->ends, 0);
    assert_int_equal(f->out.size, 0);
}

static void old_attempts_are_removed(void **state)
{
    struct fixture *f = *state;
    char path[LOGFILE_PATH_MAX];
    for (unsigned i = 0; i < 4; i++) {
        logfile_path(path, f->dir, "ns", "pod", "uid", "c", i);
        assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
        add_line(path, i);
        strcat(path, ".1");
        add_line(path, i);
    }
    logfile_remove_old(f->dir, "ns", "pod", "uid", "c", 2);
    for (unsigned i = 0; i < 4; i++) {
        logfile_path(path, f->dir, "ns", "pod", "uid", "c", i);
        assert_int_equal(fs_exists(path), i >= 2);
        strcat(path, ".1");
        assert_int_equal(fs_exists(path), i >= 2);
    }
    assert_int_equal(logfile_remove_pod(f->dir, "ns", "pod", "uid", NULL), 0);
    assert_false(fs_exists(path));
}

static void the_longest_names_have_a_place_of_their_own(void **state)
{
    struct fixture *f = *state;
    char ns[64] = "", pod[254] = "", c[64] = "", one[LOGFILE_PATH_MAX], two[LOGFILE_PATH_MAX];
    memset(ns, 'n', 63);
    memset(pod, 'p', 253);
    memset(c, 'c', 63);
    const char *uids[] = {"e6aa8863-9993-44f5-bc16-311f0df7bdb8", "e6aa8863-9993-44f5-bc16-311f0df7bdb9"};
    logfile_path(one, f->dir, ns, pod, uids[0], c, UINT32_MAX);
    logfile_path(two, f->dir, ns, pod, uids[1], c, 0);
    assert_int_equal(fs_make_parent(one, 0755, NULL), 0);
    assert_int_equal(fs_make_parent(two, 0755, NULL), 0);
    add_line(one, 1);
    add_line(two, 2);
    logfile_remove_old(f->dir, ns, pod, uids[1], c, 1);
    assert_false(fs_exists(two));
    assert_true(fs_exists(one));
    assert_int_equal(logfile_remove_pod(f->dir, ns, pod, uids[0], NULL), 0);
    assert_false(fs_exists(one));
    assert_int_equal(logfile_remove_pod(f->dir, ns, pod, uids[1], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_parsed),
        cmocka_unit_test_setup_teardown(a_log_is_read_without_its_stamps, setup, teardown),
        cmocka_unit_test_setup_teardown(tail_since_limit_and_stamps_choose, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_log_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(rotated_files_belong_to_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(following_goes_on_over_a_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(another_reader_goes_on_where_one_was_whatever_was_rotated_meanwhile, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_long_log_read_in_pieces_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(where_a_tail_began_is_known_before_there_is_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_rotated_away_is_a_gap_and_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_follower_that_slept_through_two_rotations_misses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_reader_says_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(old_attempts_are_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longest_names_have_a_place_of_their_own, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
