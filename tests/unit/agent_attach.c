/* Attaching to a container from its log's start, as an agent serves it: all that was ever printed, each byte once. */
#include "tests/unit/agent_whole.h"

#define CAT                                                                                                            \
    "'containers':[{'name':'c','image':'busybox','command':['cat'],'stdin':true,'stdinOnce':true}],"                   \
    "'restartPolicy':'Never'"

struct joined {
    struct rpc_stream *stream;
    bool over, deaf; /* deaf: takes nothing */
    int code;
    unsigned gaps;
    size_t payloads, untaken;
    struct buf out, err;
};

static void joined_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct joined *j = data;
    struct mp out = mp_get(payload, "stdout"), err = mp_get(payload, "stderr");
    struct str bytes;
    j->payloads++;
    j->gaps += mp_bool(mp_get(payload, "gap"), false);
    if (mp_read_bin(&out, &bytes)) {
        buf_append(&j->out, bytes.p, bytes.n);
    }
    if (mp_read_bin(&err, &bytes)) {
        buf_append(&j->err, bytes.p, bytes.n);
    }
    if (j->deaf) {
        j->untaken += n;
    } else {
        rpc_stream_consumed(st, n);
    }
}

static void joined_over(struct rpc_stream *st, const struct error *err, void *data)
{
    struct joined *j = data;
    j->over = true;
    j->code = err == NULL ? 0 : err->code;
    if (j->stream != NULL) {
        rpc_stream_end(st, NULL);
    }
}

static void join(struct fixture *f, struct joined *j, bool from_start)
{
    static const struct rpc_stream_events events = {.on_data = joined_data, .on_end = joined_over};
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 4);
    mp_write_key_str(&b, "namespace", STR("default"));
    mp_write_key_str(&b, "name", STR("web"));
    mp_write_key_bool(&b, "stdin", true);
    mp_write_key_bool(&b, "fromStart", from_start);
    j->stream = rpc_stream_open(f->master.agent, "pod.attach", buf_str(&b), &events, j);
}

static void leave(struct fixture *f, struct joined *j)
{
    if (!j->over) {
        rpc_stream_end(TAKE_PTR(j->stream), NULL);
        run_until(&f->loop, j->over);
    }
    buf_close(&j->out);
    buf_close(&j->err);
}

static void type(struct fixture *f, struct joined *j, const char *text)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    if (text == NULL) {
        mp_write_key_bool(&b, "eof", true);
    } else {
        mp_write_cstr(&b, "stdin");
        mp_write_bin(&b, text, strlen(text));
    }
    run_until(&f->loop, rpc_stream_write(j->stream, buf_str(&b)) == 0); /* not before the answer */
}

static void path_of_log(struct fixture *f, unsigned rotated, char out[300])
{
    struct error err = {0};
    char dir[256];
    snprintf(dir, sizeof dir, "%s/logs/default_web_uid-web/c", f->dir);
    assert_int_equal(fs_make_dirs(dir, 0700, &err), 0);
    snprintf(out, 300, rotated > 0 ? "%s/0.log.%u" : "%s/0.log", dir, rotated);
}

/* What conmon would write: "stdout F text", with a time before it. */
static void printed(struct fixture *f, const char *record)
{
    char path[300];
    path_of_log(f, 0, path);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    fprintf(file, "2026-01-02T03:04:05.000000001+00:00 %s\n", record);
    fclose(file);
}

static void run_web(struct fixture *f)
{
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", CAT));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void nothing_that_was_printed_is_lost_and_nothing_comes_twice(void **state)
{
    struct fixture *f = *state;
    struct joined j = {0};
    run_web(f);
    printed(f, "stdout F before anybody could join");
    printed(f, "stderr F a complaint");
    printed(f, "stdout P prompt> "); /* no line end, and shown at once */
    join(f, &j, true);
    run_until(&f->loop, strstr(buf_cstr(&j.out), "prompt> ") != NULL);
    type(f, &j, "typed");
    printed(f, "stdout F typed");
    run_until(&f->loop, strstr(buf_cstr(&j.out), "typed\n") != NULL);
    printed(f, "stderr F the end");
    printed(f, "stdout P of it");
    type(f, &j, NULL); /* it ends, and what it printed last is still read */
    run_until(&f->loop, j.over);
    assert_int_equal(j.code, 0);
    assert_string_equal(buf_cstr(&j.out), "before anybody could join\nprompt> typed\nof it");
    assert_string_equal(buf_cstr(&j.err), "a complaint\nthe end\n");
    assert_int_equal(j.gaps, 0);
    leave(f, &j);
}

static void a_log_that_is_rotated_meanwhile_is_read_through(void **state)
{
    struct fixture *f = *state;
    struct joined j = {0};
    char from[300], to[300];
    run_web(f);
    path_of_log(f, 0, from);
    path_of_log(f, 1, to);
    printed(f, "stdout F one");
    assert_int_equal(rename(from, to), 0);
    printed(f, "stdout F two");
    join(f, &j, true);
    run_until(&f->loop, strstr(buf_cstr(&j.out), "two\n") != NULL);
    path_of_log(f, 2, from);
    assert_int_equal(rename(to, from), 0);
    path_of_log(f, 0, from);
    assert_int_equal(rename(from, to), 0);
    printed(f, "stdout F three");
    type(f, &j, NULL);
    run_until(&f->loop, j.over);
    assert_string_equal(buf_cstr(&j.out), "one\ntwo\nthree\n");
    leave(f, &j);
}

/* More than the stream's window. Who takes nothing holds up the reading, and loses nothing. */
static void who_is_slow_gets_all_of_it(void **state)
{
    enum { LINES = 60000 };
    struct fixture *f = *state;
    struct joined j = {.deaf = true};
    char path[300], last[32];
    CLEANUP_BUF struct buf all = BUF_INIT;
    run_web(f);
    path_of_log(f, 0, path);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    for (unsigned i = 0; i < LINES; i++) {
        fprintf(file, "2026-01-02T03:04:05.000000001Z stdout F line %u of many, and each is different\n", i);
        buf_printf(&all, "line %u of many, and each is different\n", i);
    }
    fclose(file);
    join(f, &j, true);
    run_until(&f->loop, j.untaken > 0);
    type(f, &j, NULL); /* it ends while most is still to come */
    j.deaf = false;
    rpc_stream_consumed(j.stream, j.untaken);
    run_until(&f->loop, j.over);
    assert_int_equal(j.code, 0);
    snprintf(last, sizeof last, "line %u of", LINES - 1);
    assert_non_null(strstr(buf_cstr(&j.out), last));
    assert_int_equal(j.out.size, all.size);
    assert_memory_equal(j.out.data, all.data, all.size);
    assert_true(j.payloads < LINES / 100); /* not one for each line */
    leave(f, &j);
}

static void without_a_log_the_socket_is_listened_to(void **state)
{
    struct fixture *f = *state;
    struct joined j = {0};
    run_web(f);
    join(f, &j, true);
    type(f, &j, "typed");
    run_until(&f->loop, strstr(buf_cstr(&j.out), "typed") != NULL);
    type(f, &j, NULL);
    run_until(&f->loop, j.over);
    assert_int_equal(j.code, 0);
    assert_string_equal(buf_cstr(&j.out), "typed");
    leave(f, &j);
}

static void who_does_not_ask_for_the_start_hears_what_comes(void **state)
{
    struct fixture *f = *state;
    struct joined j = {0}, other = {0};
    run_web(f);
    printed(f, "stdout F before");
    join(f, &j, false);
    type(f, &j, "typed");
    run_until(&f->loop, strstr(buf_cstr(&j.out), "typed") != NULL);
    assert_string_equal(buf_cstr(&j.out), "typed");
    join(f, &other, true);
    run_until(&f->loop, other.out.size > 0);
    leave(f, &other); /* while its log is followed */
    leave(f, &j);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, whole_setup, whole_teardown)
    const struct CMUnitTest tests[] = {
        WITH(nothing_that_was_printed_is_lost_and_nothing_comes_twice),
        WITH(a_log_that_is_rotated_meanwhile_is_read_through),
        WITH(who_is_slow_gets_all_of_it),
        WITH(without_a_log_the_socket_is_listened_to),
        WITH(who_does_not_ask_for_the_start_hears_what_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
