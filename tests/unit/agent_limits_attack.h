/* Attacks from inside a container: the test program itself is mounted into it and run as `/attack/PROGRAM attack`, once
 * for all; each attack is a line "name=RESULT" of its log, RESULT being "ok" or the name of an error. */
#ifndef TESTS_UNIT_AGENT_LIMITS_ATTACK_H
#define TESTS_UNIT_AGENT_LIMITS_ATTACK_H

#include "tests/unit/agent_runtime_crun.h"

#include <assert.h>
#include <errno.h>
#include <sys/wait.h>

static inline void tell(const char *name, long rc)
{
    printf("%s=%s\n", name, rc >= 0 ? "ok" : strerrorname_np(errno));
    fflush(stdout);
}

/* What may change the process is tried by a child. */
#define TELL_CHILD(name, expr)                                                                                         \
    do {                                                                                                               \
        pid_t child_pid = fork();                                                                                      \
        if (child_pid == 0) {                                                                                          \
            tell(name, expr);                                                                                          \
            _exit(0);                                                                                                  \
        }                                                                                                              \
        waitpid(child_pid, NULL, 0);                                                                                   \
    } while (0)

static char self_dir[FS_PATH_MAX], self_name[64]; /* of this program, by attack_init */

static inline void attack_init(void)
{
    ssize_t n = readlink("/proc/self/exe", self_dir, sizeof self_dir - 1);
    assert(n > 0);
    self_dir[n] = '\0';
    char *slash = strrchr(self_dir, '/');
    snprintf(self_name, sizeof self_name, "%.63s", slash + 1);
    *slash = '\0';
}

/* The container's specification with the program in it. mounts: room for two more than the caller has at the begin. */
static inline void attack_mounts(struct runtime_spec *s, struct runtime_mount *mounts, unsigned own)
{
    mounts[own] = usr;
    mounts[own + 1] = (struct runtime_mount){.source = self_dir, .target = "/attack", .read_only = true};
    s->mounts = mounts;
    s->mounts_count = own + 2;
}

static inline void attack_spec(struct fixture *f, struct runtime_spec *s, struct runtime_mount *mounts, unsigned own)
{
    crun_spec(f, s);
    s->security.run_as_user = s->security.run_as_group = 0; /* root, as most images are */
    attack_mounts(s, mounts, own);
}

/* Runs it to its end; what it said stays in text (to be freed). */
static inline char *attack_run(struct fixture *f, struct runtime_spec *s, const char *which)
{
    char path[128];
    static const char *const env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
    snprintf(path, sizeof path, "/attack/%s", self_name);
    const char *cmd[] = {path, "attack", which, NULL};
    s->env = s->env == NULL ? env : s->env;
    unlink(f->log);
    unsigned before = f->exits;
    start(f, s, cmd);
    assert_string_equal(f->start_message, "");
    wait_for(f, &f->exits, before + 1);
    char *text = read_log(f);
    if (f->exit_code != 0) {
        fail_msg("the attacks ended with %d: %s", f->exit_code, text);
    }
    remove_it(f);
    return text;
}

static inline void assert_result(const char *text, const char *name, const char *result)
{
    char line[128];
    snprintf(line, sizeof line, " F %s=%s\n", name, result);
    if (strstr(text, line) == NULL) {
        fail_msg("%s=%s is not in:\n%s", name, result, text);
    }
}
#endif
