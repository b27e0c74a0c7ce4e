/* Programs that are started with hardly any descriptors say so and end; none is ended by a signal. */
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "proto/net/loop.h"
#include "tests/unit/kit/master_kit.h"

#define FEW    5u /* with less not even its libraries are found */
#define ENOUGH 64u

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* Exit code, or 128 + signal; what it said in `said`. */
static int run_with(struct kit *k, unsigned descriptors, const char *const *argv, struct buf *said)
{
    char *out = arena_printf(&k->arena, "%s/out", k->dir), part[4096];
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit limit = {descriptors, descriptors};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        for (fd = 3; fd < 1024; fd++) {
            close(fd);
        }
        setrlimit(RLIMIT_NOFILE, &limit);
        execv(argv[0], (char *const *)argv);
        _exit(125);
    }
    int status = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; waitpid(pid, &status, WNOHANG) == 0; kit_turn(k, 5)) {
        if (kit_now() > until) {
            kill(pid, SIGKILL);
        }
    }
    buf_reset(said);
    FILE *f = fopen(out, "r");
    assert_non_null(f);
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) {
        buf_append(said, part, n);
    }
    fclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *beside(struct kit *k, const char *name)
{
    const char *master = kit_program();
    return arena_printf(&k->arena, "%.*s/%s", (int)(strrchr(master, '/') - master), master, name);
}

static void starve(struct kit *k, const char *const *argv)
{
    CLEANUP_BUF struct buf said = BUF_INIT;
    unsigned explained = 0;
    for (unsigned n = FEW; n < ENOUGH; n += n < 18 ? 1 : 8) {
        int rc = run_with(k, n, argv, &said);
        if (rc >= 125 && strstr(buf_cstr(&said), "shared libraries") == NULL) {
            fail_msg("%s with %u descriptors ended with %d: %s", argv[0], n, rc, buf_cstr(&said));
        }
        explained += rc != 0 && strstr(buf_cstr(&said), "file descriptors") != NULL;
    }
    assert_true(explained >= 3);
}

static void rctl_says_that_it_has_no_descriptors(void **state)
{
    struct kit *k = *state;
    CLEANUP_BUF struct buf said = BUF_INIT;
    char *config = arena_printf(&k->arena, "%s/admin.config", k->masters[0].dir);
    const char *argv[] = {beside(k, "rctl"), "--config", config, "get", "namespaces", NULL};
    starve(k, argv);
    assert_int_equal(run_with(k, ENOUGH, argv, &said), 0);
}

static void an_agent_says_that_it_has_no_descriptors(void **state)
{
    struct kit *k = *state;
    char *dir = arena_printf(&k->arena, "%s/agent", k->dir);
    const char *join[] = {beside(k, "reeve-agent"),
                          "join",
                          "--dir",
                          dir,
                          "--name",
                          "n1",
                          "--token",
                          "abcdef.0123456789abcdef@00000000000000000000000000000000",
                          k->masters[0].addr,
                          NULL};
    starve(k, join);
}

static void a_master_says_that_it_has_no_descriptors(void **state)
{
    struct kit *k = *state;
    kit_stop(k, 0, SIGTERM);
    const char *argv[] = {kit_program(), "run", "--dir", k->masters[0].dir, NULL};
    starve(k, argv);
    kit_start(k, 0); /* nothing was spoilt */
    kit_leader(k);
}

static void a_loop_is_refused_where_there_are_no_descriptors(void **state)
{
    (void)state;
    struct rlimit before, few = {0};
    struct error err = {0};
    uv_loop_t loop;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 8;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int rv = net_loop_init(&loop, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rv, ERR_LIMIT);
    assert_non_null(strstr(err.message, "of the 8 that it may have"));
    assert_int_equal(net_loop_init(&loop, &err), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rctl_says_that_it_has_no_descriptors),
        cmocka_unit_test(an_agent_says_that_it_has_no_descriptors),
        cmocka_unit_test(a_master_says_that_it_has_no_descriptors),
        cmocka_unit_test(a_loop_is_refused_where_there_are_no_descriptors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
