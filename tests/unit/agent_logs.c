/* Logs as an agent serves them: where they begin, what is left out of them, and going on from a place, over restarts
 * as well. */
#include "tests/unit/agent_whole.h"

#include "base/timefmt.h"

struct log_reader {
    struct rpc_stream *stream;
    bool opened, over;
    int code;
    struct error error;
    const char *
        more; /* parameters beside those of every reader, as "sinceTime=2026-01-02T03:04:05Z tailLines=3"; NULL: none */
    bool once; /* not followed */
    char after[256], text[1024];
};

static void log_opened(struct rpc_stream *st, struct mp result, void *data)
{
    (void)st;
    (void)result;
    ((struct log_reader *)data)->opened = true;
}

static void log_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct log_reader *l = data;
    struct mp text = mp_get(payload, "text");
    struct str bytes = STR_NONE, after = mp_str(mp_get(payload, "after"));
    assert_true(mp_read_bin(&text, &bytes));
    size_t have = strlen(l->text);
    snprintf(l->text + have, sizeof l->text - have, "%.*s", STR_ARG(bytes));
    snprintf(l->after, sizeof l->after, "%.*s", STR_ARG(after));
    rpc_stream_consumed(st, n);
}

static void log_over(struct rpc_stream *st, const struct error *err, void *data)
{
    struct log_reader *l = data;
    l->over = true;
    l->code = err == NULL ? 0 : err->code;
    if (err != NULL) {
        l->error = *err;
    }
    if (l->stream != NULL) { /* else the test has ended it */
        rpc_stream_end(st, NULL);
    }
}

static void log_open(struct fixture *f, struct log_reader *l)
{
    static const struct rpc_stream_events events = {.on_open = log_opened, .on_data = log_data, .on_end = log_over};
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    arena_init(&a);
    struct value *p = value_map(&a);
    char *copy = arena_strdup(&a, l->more == NULL ? "" : l->more), *save = NULL;
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        char *is = strchr(word, '=');
        *is++ = '\0';
        char *end;
        long long number = strtoll(is, &end, 10);
        value_set(&a, p, word, *end == '\0' ? value_int(&a, number) : value_cstr(&a, is));
    }
    value_set(&a, p, "namespace", value_cstr(&a, "default"));
    value_set(&a, p, "name", value_cstr(&a, "web"));
    value_set(&a, p, "follow", value_bool(&a, !l->once));
    value_set(&a, p, "places", value_bool(&a, true));
    if (l->after[0] != '\0') {
        value_set(&a, p, "after", value_cstr(&a, l->after));
    }
    msgpack_write_value(&b, p);
    l->over = false;
    l->code = 0;
    l->stream = rpc_stream_open(f->master.agent, "pod.logs", buf_str(&b), &events, l);
}

static FILE *log_file(struct fixture *f)
{
    struct error err = {0};
    char dir[256], path[300];
    snprintf(dir, sizeof dir, "%s/logs/default_web_uid-web/c", f->dir);
    assert_int_equal(fs_make_dirs(dir, 0700, &err), 0);
    snprintf(path, sizeof path, "%s/0.log", dir);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    return file;
}

static void log_lines(struct fixture *f, unsigned from, unsigned to)
{
    FILE *file = log_file(f);
    for (unsigned i = from; i <= to; i++) {
        fprintf(file, "2026-01-02T03:04:05.%09uZ stdout F line %u\n", i, i);
    }
    fclose(file);
}

/* One record; ms_ago: before now. */
static void log_recent(struct fixture *f, int64_t ms_ago, const char *text)
{
    char stamp[TIMEFMT_SIZE];
    FILE *file = log_file(f);
    timefmt_rfc3339_ms(env_wall_ms(env_real()) - ms_ago, stamp);
    fprintf(file, "%s stdout F %s\n", stamp, text);
    fclose(file);
}

/* Line n, in minute n of the hour. */
static void log_minutes(struct fixture *f, unsigned from, unsigned to)
{
    FILE *file = log_file(f);
    for (unsigned i = from; i <= to; i++) {
        fprintf(file, "2026-01-02T03:%02u:00.000000000+00:00 stdout F minute %u\n", i, i);
    }
    fclose(file);
}

static void run_web(struct fixture *f)
{
    struct fake_master *m = &f->master;
    master_forget(m);
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void start_agent_again(struct fixture *f)
{
    open_agent(f);
    run_until(&f->loop, f->master.pods != NULL && f->master.refs != NULL && f->master.routes != NULL);
    run_web(f);
}

static void a_log_that_is_followed_goes_on_after_a_restart_of_the_agent(void **state)
{
    struct fixture *f = *state;
    struct log_reader l = {0};
    run_web(f);
    log_lines(f, 1, 3);
    log_open(f, &l);
    run_until(&f->loop, strstr(l.text, "line 3\n") != NULL);
    stop_agent(f);
    run_until(&f->loop, l.over);
    assert_int_equal(l.code, ERR_CLOSED);
    log_lines(f, 4, 5); /* the container runs on */
    start_agent_again(f);
    log_open(f, &l);
    log_lines(f, 6, 6);
    run_until(&f->loop, strstr(l.text, "line 6\n") != NULL);
    assert_string_equal(l.text, "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n");
    static const struct {
        const char *after;
        int code;
    } wrong[] = {
        {"nonsense", ERR_USAGE},
        {"uid-web/0/1/0/0/0x", ERR_USAGE},
        {"uid-other/0/1/0000000000000000/0/0", ERR_NOT_FOUND},
        {"uid-web/7/1/0000000000000000/0/0", ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct log_reader w = {0};
        snprintf(w.after, sizeof w.after, "%s", wrong[i].after);
        log_open(f, &w);
        run_until(&f->loop, w.over);
        assert_int_equal(w.code, wrong[i].code);
    }
    rpc_stream_end(TAKE_PTR(l.stream), NULL);
    run_until(&f->loop, l.over);
}

/* Refused before it is a stream: who has an open one takes its end for a cut. */
static void a_log_that_is_not_there_is_refused(void **state)
{
    struct fixture *f = *state;
    run_web(f);
    struct log_reader l = {.once = true}, followed = {0}, begun = {.once = true};
    log_open(f, &l);
    log_open(f, &followed);
    run_until(&f->loop, l.over && followed.over);
    assert_false(l.opened || followed.opened);
    assert_int_equal(l.code, ERR_NOT_FOUND);
    assert_int_equal(followed.code, ERR_NOT_FOUND);
    assert_string_equal(l.error.message,
                        "node n1 has no log of container \"c\" of pod \"web\", life 0: it was removed, or never begun");
    fclose(log_file(f)); /* there, and empty */
    log_open(f, &begun);
    run_until(&f->loop, begun.over);
    assert_true(begun.opened);
    assert_int_equal(begun.code, 0);
}

/* ---- Since ---- */

static void a_time_cuts_off_what_is_older(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *more, *text;
    } rows[] = {
        {NULL, "minute 1\nminute 2\nminute 3\nminute 4\n"},
        {"sinceTime=2026-01-02T03:03:00Z", "minute 3\nminute 4\n"}, /* that moment itself is in it */
        {"sinceTime=2026-01-02T03:03:00.001Z", "minute 4\n"},
        {"sinceTime=2026-01-02T05:03:00+02:00", "minute 3\nminute 4\n"},
        {"sinceTime=2025-12-31T00:00:00Z", "minute 1\nminute 2\nminute 3\nminute 4\n"},
        {"sinceTime=2036-01-02T03:03:00Z", ""},
        /* each of two limits counts */
        {"sinceTime=2026-01-02T03:03:00Z tailLines=1", "minute 4\n"},
        {"sinceTime=2026-01-02T03:03:00Z tailLines=3", "minute 3\nminute 4\n"},
        {"sinceTime=2026-01-02T03:03:00Z limitBytes=12", "minute 3\nmin"},
        {"sinceSeconds=9223372036854775807", "minute 1\nminute 2\nminute 3\nminute 4\n"},
    };
    run_web(f);
    log_minutes(f, 1, 4);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct log_reader l = {.more = rows[i].more, .once = true};
        log_open(f, &l);
        run_until(&f->loop, l.over);
        if (l.code != 0 || strcmp(l.text, rows[i].text) != 0) {
            fail_msg("%s: %d %s", rows[i].more, l.code, l.text);
        }
    }
}

static void seconds_are_counted_from_now(void **state)
{
    struct fixture *f = *state;
    run_web(f);
    log_recent(f, 7200 * 1000, "two hours ago");
    log_recent(f, 1800 * 1000, "half an hour ago");
    log_recent(f, 0, "now");
    struct log_reader hour = {.more = "sinceSeconds=3600", .once = true},
                      all = {.more = "sinceSeconds=86400", .once = true};
    log_open(f, &hour);
    log_open(f, &all);
    run_until(&f->loop, hour.over && all.over);
    assert_string_equal(hour.text, "half an hour ago\nnow\n");
    assert_string_equal(all.text, "two hours ago\nhalf an hour ago\nnow\n");
}

static void what_is_no_time_is_refused_by_its_name(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *more, *message;
    } rows[] = {
        {"sinceTime=noon", "\"noon\" is no time"},
        {"sinceTime=2026-01-02", "\"2026-01-02\" is no time"},
        {"sinceTime=2026-01-02T03:03:00Z sinceSeconds=5", "exclude each other"},
    };
    run_web(f);
    log_minutes(f, 1, 1);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct log_reader l = {.more = rows[i].more, .once = true};
        log_open(f, &l);
        run_until(&f->loop, l.over);
        assert_int_equal(l.code, ERR_USAGE);
        assert_string_equal(l.error.field, "sinceTime");
        assert_non_null(strstr(l.error.message, rows[i].message));
    }
}

/* The place that a reader is given holds the time as well: what was too old stays left out, whenever it is written. */
static void a_follower_keeps_its_time_over_a_restart_of_the_agent(void **state)
{
    struct fixture *f = *state;
    struct log_reader l = {.more = "sinceTime=2026-01-02T03:03:00Z"};
    run_web(f);
    log_minutes(f, 1, 4);
    log_open(f, &l);
    run_until(&f->loop, strstr(l.text, "minute 4\n") != NULL);
    log_minutes(f, 2, 2); /* a clock that was set back */
    log_minutes(f, 5, 5);
    run_until(&f->loop, strstr(l.text, "minute 5\n") != NULL);
    stop_agent(f);
    run_until(&f->loop, l.over);
    assert_int_equal(l.code, ERR_CLOSED);
    log_minutes(f, 1, 2);
    log_minutes(f, 6, 6);
    start_agent_again(f);
    l.more = NULL; /* a place is enough */
    log_open(f, &l);
    run_until(&f->loop, strstr(l.text, "minute 6\n") != NULL);
    assert_string_equal(l.text, "minute 3\nminute 4\nminute 5\nminute 6\n");
    rpc_stream_end(TAKE_PTR(l.stream), NULL);
    run_until(&f->loop, l.over);
}

/* Everything is too old so far: the place is known nevertheless, and nothing is told twice or left out behind it. */
static void a_follower_of_the_future_waits_for_it(void **state)
{
    struct fixture *f = *state;
    struct log_reader l = {.more = "sinceTime=2026-01-02T03:10:00Z"};
    run_web(f);
    log_minutes(f, 1, 4);
    log_open(f, &l);
    run_until(&f->loop, l.after[0] != '\0');
    log_minutes(f, 9, 10);
    run_until(&f->loop, l.text[0] != '\0');
    assert_string_equal(l.text, "minute 10\n");
    stop_agent(f);
    run_until(&f->loop, l.over);
    start_agent_again(f);
    log_open(f, &l); /* with its parameters again, as rctl does */
    log_minutes(f, 11, 11);
    run_until(&f->loop, strstr(l.text, "minute 11\n") != NULL);
    assert_string_equal(l.text, "minute 10\nminute 11\n");
    rpc_stream_end(TAKE_PTR(l.stream), NULL);
    run_until(&f->loop, l.over);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, whole_setup, whole_teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_log_that_is_followed_goes_on_after_a_restart_of_the_agent),
        WITH(a_log_that_is_not_there_is_refused),
        WITH(a_time_cuts_off_what_is_older),
        WITH(seconds_are_counted_from_now),
        WITH(what_is_no_time_is_refused_by_its_name),
        WITH(a_follower_keeps_its_time_over_a_restart_of_the_agent),
        WITH(a_follower_of_the_future_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
