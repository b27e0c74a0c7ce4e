#include "agent/runtime/crun_command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/text/text.h"

#define EXEC_ARGS_MAX 1024u
#define CONFIG_MAX    (4u << 20)

char *crun_command_path(const struct crun_container *c, const void *unique)
{
    return xasprintf("%s/" CRUN_EXEC_PREFIX "%zx", c->rt->run_dir, (size_t)unique);
}

void crun_command_kill(const char *base)
{
    char text[32], path[FS_PATH_MAX];
    fs_path(path, sizeof path, "%s.pid", base);
    if (!fs_read_line(path, text, sizeof text)) {
        return;
    }
    int pid = atoi(text);
    if (pid > 1) {
        if (getpgid(pid) == pid) {
            kill(-pid, SIGKILL);
        }
        kill(pid, SIGKILL);
    }
}

/* crun tells by the pid file that the command has begun. */
bool crun_command_has_begun(const char *base)
{
    char path[FS_PATH_MAX];
    fs_path(path, sizeof path, "%s.pid", base);
    return fs_exists(path);
}

int crun_command_exit_code(const char *base, int exit_code, const char *said)
{
    if (exit_code != CRUN_FAILED || crun_command_has_begun(base)) {
        return exit_code;
    }
    return strstr(said, "not found") != NULL || strstr(said, "No such file") != NULL ? 127 : 126;
}

void crun_command_unlink(const char *base)
{
    char path[FS_PATH_MAX];
    fs_path(path, sizeof path, "%s.pid", base);
    unlink(path);
    fs_path(path, sizeof path, "%s.json", base);
    unlink(path);
}

/* The container's own process, but with these arguments. */
int crun_command_write(const struct crun_container *c, const char *base, const char *const *argv,
                       const struct winsize *tty, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT;
    char path[FS_PATH_MAX];
    struct value *doc;
    arena_init(&a);
    if (crun_is_foreign(c)) {
        crun_config_path(c, path);
    } else {
        fs_path(path, sizeof path, "%s/%s/config.json", c->rt->run_dir, c->id); /* crun's copy */
    }
    int rc = fs_read_file(path, CONFIG_MAX, &b, err);
    rc = rc != 0 ? rc : json_read(&a, buf_str(&b), &doc, err);
    if (rc != 0) {
        return rc;
    }
    struct value *process = value_get(doc, "process"), *args = value_list(&a);
    unsigned n = 0;
    for (; argv[n] != NULL && n < EXEC_ARGS_MAX; n++) {
        value_append(&a, args, value_cstr(&a, argv[n]));
    }
    if (n == 0 || argv[n] != NULL) {
        return error_set(err, ERR_INVALID, "the command is empty or has more than %u words", EXEC_ARGS_MAX);
    }
    if (!value_is_map(process)) {
        return error_set(err, ERR_CORRUPT, "%s is damaged", path);
    }
    value_set(&a, process, "args", args);
    value_set(&a, process, "terminal", value_bool(&a, tty != NULL));
    if (tty != NULL) {
        struct value *size = value_ensure_map(&a, process, "consoleSize");
        value_set(&a, size, "height", value_int(&a, tty->ws_row));
        value_set(&a, size, "width", value_int(&a, tty->ws_col));
    }
    const struct value *env = value_get(process, "env");
    bool has_term = false;
    VALUE_FOR(i, env)
    {
        has_term |= str_starts(value_to_str(value_item(env, i)), STR("TERM="));
    }
    if (tty != NULL && !has_term) {
        value_append(&a, value_ensure_list(&a, process, "env"), value_cstr(&a, "TERM=xterm"));
    }
    buf_reset(&b);
    json_write(&b, process, 0);
    fs_path(path, sizeof path, "%s.json", base);
    return fs_write_file(path, buf_str(&b), 0600, false, err);
}

void crun_command_args(struct crun_command *e, const struct crun_container *c, const char *base, const char *socket)
{
    fs_path(e->pid_file, sizeof e->pid_file, "%s.pid", base);
    fs_path(e->process_file, sizeof e->process_file, "%s.json", base);
    const char *argv[] = {sealed_program(crun_program(c)),
                          "--root",
                          c->rt->run_dir,
                          "exec",
                          "--pid-file",
                          e->pid_file,
                          "--process",
                          e->process_file};
    unsigned n = ARRAY_SIZE(argv);
    memcpy(e->argv, argv, sizeof argv);
    if (socket != NULL) {
        e->argv[n++] = "--console-socket";
        e->argv[n++] = socket;
    }
    e->argv[n++] = c->id;
    e->argv[n] = NULL;
}

int crun_command_find(struct crun *rt, const char *id, struct crun_container **out, struct error *err)
{
    struct crun_container *c = crun_find(rt, id);
    if (c == NULL || c->leftover) {
        return error_set(err, ERR_NOT_FOUND, "there is no container %s", id);
    }
    if (c->state != RUNTIME_RUNNING || c->removing || rt->closing) {
        return error_set(err, ERR_USAGE, "container not running: %s", c->name);
    }
    if (crun_program(c) == NULL) {
        return error_set(err, ERR_UNSUPPORTED, "no runtime for \"%s\" is configured, by which container %s runs",
                         c->handler, c->name);
    }
    *out = c;
    return 0;
}
