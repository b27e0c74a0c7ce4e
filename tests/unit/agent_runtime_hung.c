/* A runtime that hangs: calls of crun and conmon that do not come back are ended after their time, the status says what
 * did not come, and nothing is left. The programs are scripts that sleep where the test says, and are the real ones
 * otherwise. */
#include "tests/unit/agent_runtime_crun.h"

#include <dirent.h>

#define CALL_MS 1500

static char nap[32];      /* the command that hangs: nobody else types it */
static char programs[64]; /* the scripts, and a file "hang-WHERE" for each place where they sleep */

static void write_script(const char *name, const char *body)
{
    char path[128];
    CLEANUP_FREE char *text = xasprintf("#!/bin/sh\nhere=%s nap='%s'\n%s", programs, nap, body);
    snprintf(path, sizeof path, "%s/%s", programs, name);
    assert_int_equal(fs_write_file(path, str_of(text), 0755, false, NULL), 0);
}

static void hang(const char *where, bool yes)
{
    char path[128];
    snprintf(path, sizeof path, "%s/hang-%s", programs, where);
    if (yes) {
        assert_int_equal(fs_write_file(path, STR_NONE, 0644, false, NULL), 0);
    } else {
        unlink(path);
    }
}

static int hung_setup(void **state)
{
    static char crun[80], conmon[80];
    snprintf(nap, sizeof nap, "sleep %d", 100000000 + (int)getpid());
    strcpy(programs, "/tmp/reeve-hung-XXXXXX");
    assert_non_null(mkdtemp(programs));
    write_script("crun", "for a; do [ ! -e $here/hang-$a ] || exec $nap; done\nexec /usr/bin/crun \"$@\"\n");
    write_script("conmon", "[ ! -e $here/hang-conmon ] || exec $nap\n"
                           "[ ! -e $here/hang-answer ] || { $nap & echo $! >$here/pid; exit 0; }\n"
                           "exec /usr/bin/conmon \"$@\"\n");
    snprintf(crun, sizeof crun, "%s/crun", programs);
    snprintf(conmon, sizeof conmon, "%s/conmon", programs);
    crun_of_test = crun;
    conmon_of_test = conmon;
    call_ms_of_test = CALL_MS;
    return crun_setup(state);
}

static int hung_teardown(void **state)
{
    int rc = crun_teardown(state);
    fs_remove_tree(programs, NULL);
    return rc;
}

/* Processes with our directory, or the sleep of our scripts, on their command line: of those that began since. */
static unsigned processes(const char *what)
{
    unsigned n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[300], line[4096];
        fs_path(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        FILE *f = e->d_name[0] < '1' || e->d_name[0] > '9' ? NULL : fopen(path, "re");
        size_t got = f == NULL ? 0 : fread(line, 1, sizeof line - 1, f);
        for (size_t i = 0; i < got; i++) {
            line[i] = line[i] == '\0' ? ' ' : line[i];
        }
        line[got] = '\0';
        n += strstr(line, what) != NULL;
        if (f != NULL) {
            fclose(f);
        }
    }
    closedir(d);
    return n;
}

static unsigned mounts(const struct fixture *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    unsigned n = 0;
    char part[80];
    snprintf(part, sizeof part, "%s/rt/", f->dir);
    FILE *m = fopen("/proc/self/mountinfo", "re");
    for (char line[4096]; fgets(line, sizeof line, m) != NULL;) {
        n += strstr(line, part) != NULL;
    }
    fclose(m);
    return n;
}

static void nothing_is_left(struct fixture *f)
{
    char part[80];
    struct runtime_status st;
    snprintf(part, sizeof part, "%s/rt/", f->dir);
    assert_false(runtime_get(f->rt, f->id, &st));
    assert_int_equal(mounts(f), 0);
    assert_int_equal(processes(part), 0);
}

/* Another agent takes over; on a busy machine the real programs need their time. */
static void give_time(struct fixture *f, int64_t call_ms)
{
    close_runtime(f);
    call_ms_of_test = call_ms;
    open_crun(f);
}

static void then_it_works(struct fixture *f, struct runtime_spec *s)
{
    give_time(f, 0);
    start(f, s, sleeper);
    if (f->start_error != 0) {
        fail_msg("%s", f->start_message);
    }
    remove_it(f);
    nothing_is_left(f);
}

static void a_conmon_that_does_not_go_to_the_background_is_ended(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    hang("conmon", true);
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, ERR_TIMEOUT);
    assert_non_null(strstr(f->start_message, "conmon"));
    nothing_is_left(f);
    hang("conmon", false);
    then_it_works(f, &s);
}

static void a_conmon_that_does_not_answer_is_given_up(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    hang("answer", true);
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, ERR_TIMEOUT);
    assert_non_null(strstr(f->start_message, "was not created within"));
    nothing_is_left(f);
    hang("answer", false);
    then_it_works(f, &s);
    char path[128], pid[32]; /* it has told nobody which process it is */
    snprintf(path, sizeof path, "%s/pid", programs);
    assert_true(fs_read_line(path, pid, sizeof pid));
    kill(atoi(pid), SIGKILL);
}

static void a_crun_that_hangs_in_create_is_ended_with_its_conmon(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    unsigned before = processes(nap);
    hang("create", true);
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, ERR_TIMEOUT);
    assert_string_equal(f->reason, "RunContainerError");
    nothing_is_left(f);
    assert_int_equal(processes(nap), before);
    hang("create", false);
    then_it_works(f, &s);
}

static void a_crun_that_hangs_in_start_leaves_no_container(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    hang("start", true);
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, ERR_TIMEOUT);
    nothing_is_left(f);
    hang("start", false);
    then_it_works(f, &s);
}

static void a_crun_that_hangs_in_delete_is_done_without(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    give_time(f, 0);
    start(f, &s, (const char *[]){"sleep", nap + sizeof "sleep", NULL});
    assert_int_equal(f->start_error, 0);
    for (unsigned i = 0; processes(nap) == 0; i++) { /* crun is back before the program is there */
        assert_true(i < 6000);
        usleep(10000);
    }
    give_time(f, CALL_MS);
    hang("delete", true);
    remove_it(f);
    nothing_is_left(f);
    assert_int_equal(processes(nap), 0);
    hang("delete", false);
    then_it_works(f, &s); /* crun remembers nothing of it */
}

static void all_of_it_at_once_ends_too(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    crun_spec(f, &s);
    hang("start", true);
    hang("delete", true);
    start(f, &s, sleeper);
    assert_int_equal(f->start_error, ERR_TIMEOUT);
    nothing_is_left(f);
    hang("start", false);
    hang("delete", false);
    then_it_works(f, &s);
}

int main(void)
{
    have_crun = enter_private_mounts();
#define WITH(test) cmocka_unit_test_setup_teardown(test, hung_setup, hung_teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_conmon_that_does_not_go_to_the_background_is_ended),
        WITH(a_conmon_that_does_not_answer_is_given_up),
        WITH(a_crun_that_hangs_in_create_is_ended_with_its_conmon),
        WITH(a_crun_that_hangs_in_start_leaves_no_container),
        WITH(a_crun_that_hangs_in_delete_is_done_without),
        WITH(all_of_it_at_once_ends_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
