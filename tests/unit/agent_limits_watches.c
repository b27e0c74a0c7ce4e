/* A node without inotify: instances and watches are counted by user, and a pod that runs as root shares root's with the
 * agent. When a pod has taken all of them, the agent starts, learns of ends, and follows logs all the same.
 * uv_fs_event_start is wrapped by the linker: really taking them all would take them from everybody on this machine. */
#include "tests/unit/agent_runtime_crun.h"

#include "agent/runtime/logfile.h"

static bool taken; /* all instances and watches */
static unsigned refused;

int __real_uv_fs_event_start(uv_fs_event_t *h, uv_fs_event_cb cb, const char *path, unsigned flags);
int __wrap_uv_fs_event_start(uv_fs_event_t *h, uv_fs_event_cb cb, const char *path, unsigned flags);
int __wrap_uv_fs_event_start(uv_fs_event_t *h, uv_fs_event_cb cb, const char *path, unsigned flags)
{
    if (taken) {
        refused++;
        return UV_EMFILE;
    }
    return __real_uv_fs_event_start(h, cb, path, flags);
}

static int setup_taken(void **state)
{
    taken = true;
    refused = 0;
    return crun_setup(state);
}

static int teardown(void **state)
{
    taken = false;
    return crun_teardown(state);
}

static void turn_until(struct fixture *f, const unsigned *counter, unsigned n)
{
    f->limit_hit = false;
    uv_timer_start(&f->limit, on_limit, 120000, 0);
    while (*counter < n && !f->limit_hit) {
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&f->limit);
    assert_false(f->limit_hit);
}

static void the_runtime_works_without_and_watches_when_it_can(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    const char *quick[] = {"sh", "-c", "exit 7", NULL};
    assert_true(refused > 0);
    crun_spec(f, &s);
    start(f, &s, quick);
    assert_string_equal(f->start_message, "");
    wait_for(f, &f->exits, 1);
    assert_int_equal(f->exit_code, 7);
    remove_it(f);

    unsigned before = refused;
    turn_until(f, &refused, before + 1); /* it goes on trying */
    taken = false;
    crun_spec(f, &s);
    start(f, &s, quick);
    assert_string_equal(f->start_message, "");
    wait_for(f, &f->exits, 2);
    assert_int_equal(f->exit_code, 7);
    remove_it(f);
}

struct follower {
    struct buf text;
    unsigned lines, ends;
};

static void on_data(struct logfile_reader *r, const uint8_t *p, size_t n, void *data)
{
    struct follower *l = data;
    (void)r;
    buf_append(&l->text, p, n);
    for (size_t i = 0; i < n; i++) {
        l->lines += p[i] == '\n';
    }
}

static void on_end(struct logfile_reader *r, const struct error *err, void *data)
{
    (void)r;
    assert_null(err);
    ((struct follower *)data)->ends++;
}

static void add_line(const char *path, unsigned n)
{
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    fprintf(file, "2026-01-02T03:04:%02u.000000001+00:00 stdout F line %u\n", n, n);
    fclose(file);
}

static void a_log_is_followed_without(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    static const struct logfile_events events = {.on_data = on_data, .on_end = on_end};
    struct follower l = {.text = BUF_INIT};
    char path[128];
    snprintf(path, sizeof path, "%s/followed.log", f->dir);
    add_line(path, 1);
    struct logfile_options o = {.tail_lines = -1, .follow = true};
    struct logfile_reader *r = logfile_read(&f->loop, path, &o, &events, &l);
    for (unsigned n = 1; n <= 3; n++) {
        turn_until(f, &l.lines, n);
        add_line(path, n + 1);
    }
    turn_until(f, &l.lines, 4);
    logfile_pause(r, true);
    add_line(path, 5);
    logfile_pause(r, false);
    turn_until(f, &l.lines, 5);
    assert_string_equal(buf_cstr(&l.text), "line 1\nline 2\nline 3\nline 4\nline 5\n");
    logfile_finish(r);
    turn_until(f, &l.ends, 1);
    buf_close(&l.text);
}

int main(void)
{
    have_crun = enter_private_mounts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_runtime_works_without_and_watches_when_it_can, setup_taken, teardown),
        cmocka_unit_test_setup_teardown(a_log_is_followed_without, setup_taken, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
