/* What the tests of the CA's rotation share: an agent beside the masters, rctl, and files. */
#ifndef TESTS_MASTER_ROTATE_H
#define TESTS_MASTER_ROTATE_H

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/unit/kit/master_kit.h"

struct agent_process {
    pid_t pid;
    char *dir, *log;
};

static inline char *in_kit(struct kit *k, const char *name)
{
    return arena_printf(&k->arena, "%s/%s", k->dir, name);
}

/* A file's text, as long as the kit lives. */
static inline const char *text_of(struct kit *k, const char *path)
{
    char *text = NULL;
    struct error err = {0};
    if (pki_read_file(path, 1 << 20, &text, NULL, &err) != 0) {
        fail_msg("%s", err.message);
    }
    const char *copy = arena_strdup(&k->arena, text);
    free(text);
    return copy;
}

static inline const char *master_text(struct kit *k, unsigned i, const char *file)
{
    return text_of(k, arena_printf(&k->arena, "%s/%s", k->masters[i].dir, file));
}

static inline unsigned cas_in(const char *pem)
{
    unsigned n = 0;
    for (char *ca; (ca = pki_next_cert(&pem)) != NULL; free(ca)) {
        n++;
    }
    return n;
}

/* reeve-agent or rctl, with what it says in the file `log`. */
static inline pid_t spawn_beside(struct kit *k, const char *name, const char *log, const char *const *args)
{
    const char *program = kit_program(), *argv[16];
    unsigned n = 0;
    argv[n++] = arena_printf(&k->arena, "%.*s/%s", (int)(strrchr(program, '/') - program), program, name);
    for (; args[n - 1] != NULL; n++) {
        assert_true(n + 1 < ARRAY_SIZE(argv));
        argv[n] = args[n - 1];
    }
    argv[n] = NULL;
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

static inline int process_end(struct kit *k, pid_t pid)
{
    int status = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; waitpid(pid, &status, WNOHANG) == 0; kit_turn(k, 20)) {
        if (kit_now() > until) {
            kill(pid, SIGKILL);
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void agent_run(struct kit *k, struct agent_process *a)
{
    const char *run[] = {"run", "--dir", a->dir, "--runtime", "hollow", NULL};
    a->pid = spawn_beside(k, "reeve-agent", a->log, run);
}

static inline int agent_join(struct kit *k, struct agent_process *a, const char *name, const char *token, unsigned by)
{
    *a = (struct agent_process){.dir = in_kit(k, name), .log = arena_printf(&k->arena, "%s/%s.log", k->dir, name)};
    const char *join[] = {"join", "--dir", a->dir, "--name", name, "--token", token, k->masters[by].addr, NULL};
    return process_end(k, spawn_beside(k, "reeve-agent", a->log, join));
}

static inline void agent_stop(struct kit *k, struct agent_process *a)
{
    kill(a->pid, SIGTERM);
    process_end(k, a->pid);
    a->pid = 0;
}

/* rctl by the first administrator: must end with `code` and say `text` (NULL: any); what it said. */
static inline const char *rctl_says(struct kit *k, int code, const char *text, const char *const *args)
{
    CLEANUP_FREE char *said = NULL;
    int rc = kit_rctl(k, &said, args);
    if (rc != code || (text != NULL && strstr(said, text) == NULL)) {
        fail_msg("rctl %s %s ended with %d, not with %d and \"%s\": %s", args[0], args[1] == NULL ? "" : args[1], rc,
                 code, text == NULL ? "" : text, said);
    }
    return arena_strdup(&k->arena, said);
}
#define RCTL(k, code, text, ...) rctl_says(k, code, text, (const char *const[]){__VA_ARGS__, NULL})

/* What `rctl token create` prints of the token itself. */
static inline const char *token_by_rctl(struct kit *k, const char *role)
{
    const char *said = RCTL(k, 0, "@", "token", "create", "--role", role), *at = strchr(said, '@');
    const char *begin = at, *end = at + 33;
    while (begin > said && begin[-1] != ' ' && begin[-1] != '\n') {
        begin--;
    }
    return arena_strndup(&k->arena, begin, (size_t)(end - begin));
}

/* A client with a certificate that is made here with a CA and its key, as somebody has who stole them. It trusts
 * `trust`. */
static inline struct client *client_of(struct kit *k, unsigned master, const char *ca, const char *ca_key,
                                       const char *trust, enum pki_role role, const char *name)
{
    struct pki_identity who = {.role = role};
    char *cert = NULL, *key = NULL;
    struct net_tls *tls = NULL;
    struct error err = {0};
    snprintf(who.name, sizeof who.name, "%s", name);
    if (pki_issue(ca, ca_key, &who, "127.0.0.1", 3600, &cert, &key, &err) != 0 ||
        net_tls_new(trust, cert, key, NULL, &tls, &err) != 0) {
        fail_msg("%s", err.message);
    }
    struct client *c = client_with(k, master, tls);
    net_tls_unref(tls);
    free(cert);
    pki_free_key(key);
    return c;
}

#endif
