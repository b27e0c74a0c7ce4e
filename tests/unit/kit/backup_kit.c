#include "tests/unit/kit/backup_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* ---- Programs ---- */

/* PROGRAM of the build ("rctl", "tests/reeve-master"); both outputs to a file. */
pid_t start_program(const char *program, const char *failpoints, const char *out, const char *const *args)
{
    char path[600];
    const char *argv[24] = {path};
    snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(kit_program(), '/') - kit_program()), kit_program(), program);
    for (unsigned n = 1; args[n - 1] != NULL; n++) {
        assert_true(n < ARRAY_SIZE(argv) - 1);
        argv[n] = args[n - 1];
    }
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid(); /* no terminal to ask on */
        if (failpoints != NULL) {
            setenv("REEVE_FAILPOINTS", failpoints, 1);
        }
        int fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600), null = open("/dev/null", O_RDONLY);
        if (getppid() != parent || fd < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        execv(path, (char *const *)argv);
        _exit(127);
    }
    return pid;
}

bool is_over(pid_t pid, int *rc)
{
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != pid) {
        return false;
    }
    *rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

/* Its exit code; what it said is in k->arena. */
int run(struct kit *k, const char *program, const char *failpoints, const char **said, const char *const *args)
{
    char out[200];
    snprintf(out, sizeof out, "%s/program.out", k->dir);
    unlink(out);
    pid_t pid = start_program(program, failpoints, out, args);
    int rc = -1;
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS; !is_over(pid, &rc);) {
        if (kit_now() > until) {
            kill(pid, SIGKILL);
            fail_msg("%s %s does not end", program, args[0]);
        }
        kit_turn(k, 20);
    }
    struct error err = {0};
    char *text;
    assert_int_equal(pki_read_file(out, 1 << 20, &text, NULL, &err), 0);
    *said = arena_strdup(&k->arena, text);
    free(text);
    return rc;
}

/* ---- A cluster, its files ---- */

const char *in_dir(struct kit *k, const char *name)
{
    return arena_printf(&k->arena, "%s/%s", k->dir, name);
}

void put_file(const char *path, const void *p, size_t n)
{
    struct error err = {0};
    assert_int_equal(pki_write_file(path, p, n, 0600, &err), 0);
}

const char *passphrase_file(struct kit *k)
{
    const char *path = in_dir(k, "passphrase");
    put_file(path, PASSPHRASE "\n", sizeof PASSPHRASE);
    return path;
}

/* The first administrator's configuration, pointed at master i. */
const char *config_for(struct kit *k, unsigned i)
{
    char *text, path[300];
    struct error err = {0};
    const char *out = in_dir(k, "rctl.config");
    snprintf(path, sizeof path, "%s/admin.config", k->masters[0].dir);
    assert_int_equal(pki_read_file(path, 1 << 20, &text, NULL, &err), 0);
    char *at = strstr(text, k->masters[0].addr);
    assert_non_null(at);
    struct buf b = BUF_INIT;
    buf_append(&b, text, (size_t)(at - text));
    buf_puts(&b, k->masters[i].addr);
    buf_puts(&b, at + strlen(k->masters[0].addr));
    put_file(out, b.data, b.size);
    buf_close(&b);
    free(text);
    return out;
}

int save(struct kit *k, unsigned by, const char *file, const char *option, const char **said)
{
    const char *args[] = {"backup",          "save", file, "--passphrase-file", passphrase_file(k), "--config",
                          config_for(k, by), option, NULL};
    return run(k, "rctl", NULL, said, args);
}

const char *saved(struct kit *k, unsigned by)
{
    const char *said, *file = in_dir(k, "backup.rvb");
    if (save(k, by, file, "--force", &said) != 0) {
        fail_msg("rctl backup save: %s", said);
    }
    assert_non_null(strstr(said, "saved: cluster"));
    assert_int_equal(access(in_dir(k, "backup.rvb.partial"), F_OK), -1);
    return file;
}

/* What `rctl backup show` tells. */
struct value *show(struct kit *k, const char *file)
{
    const char *said, *args[] = {"backup", "show", file, "-o", "json", "--passphrase-file", passphrase_file(k), NULL};
    if (run(k, "rctl", NULL, &said, args) != 0) {
        fail_msg("rctl backup show: %s", said);
    }
    return kit_doc(k, "%s", said);
}

/* A place for a restored master: its number. */
unsigned new_place(struct kit *k)
{
    assert_true(k->masters_count < KIT_MASTERS_MAX);
    unsigned i = k->masters_count++;
    struct kit_master *m = &k->masters[i];
    snprintf(m->dir, sizeof m->dir, "%.150s", in_dir(k, arena_printf(&k->arena, "r%u", i)));
    snprintf(m->log, sizeof m->log, "%.150s", in_dir(k, arena_printf(&k->arena, "r%u.log", i)));
    snprintf(m->addr, sizeof m->addr, "127.0.0.1:%u", kit_free_port());
    return i;
}

int restore(struct kit *k, unsigned i, const char *file, const char *failpoints, const char **said)
{
    const char *args[] = {"restore",
                          "--dir",
                          k->masters[i].dir,
                          "--listen",
                          k->masters[i].addr,
                          "--election-timeout",
                          "500",
                          "--raft-heartbeat",
                          "50",
                          "--passphrase-file",
                          passphrase_file(k),
                          file,
                          NULL};
    return run(k, "tests/reeve-master", failpoints, said, args);
}

unsigned restored(struct kit *k, const char *file)
{
    const char *said;
    unsigned i = new_place(k);
    if (restore(k, i, file, NULL, &said) != 0) {
        fail_msg("restore: %s", said);
    }
    assert_non_null(strstr(said, "reeve-master run --dir"));
    assert_non_null(strstr(said, "reeve-master join"));
    return i;
}

void kill_all(struct kit *k)
{
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_stop(k, i, SIGKILL);
    }
}
