/* Where a local cluster keeps what, and which processes are its own. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/buf.h"
#include "base/env.h"
#include "client/up/up.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

int up_init(struct up *u, const char *dir, struct error *err)
{
    static const char *const hidden[] = {"/run", "/dev", "/proc", "/sys"};
    *u = (struct up){0};
    arena_init(&u->arena);
    char cwd[UP_PATH_MAX];
    CLEANUP_FREE char *real = realpath(dir, NULL);
    if (real == NULL && dir[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL) {
        return error_set_errno(err, errno, "current directory");
    }
    int n = real != NULL ? snprintf(u->dir, sizeof(u->dir), "%s", real)
            : dir[0] == '/'
                ? snprintf(u->dir, sizeof(u->dir), "%s", dir)
                : snprintf(u->dir, sizeof(u->dir), "%s/%s", cwd, strncmp(dir, "./", 2) == 0 ? dir + 2 : dir);
    if (n < 0 || n > UP_DIR_MAX) { /* nodes and their files lie below it */
        return error_set(err, ERR_INVALID,
                         "--dir: the path has %d characters, at most %d are allowed; choose one such as /var/tmp/reeve",
                         n, UP_DIR_MAX);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
        size_t len = strlen(hidden[i]);
        if (strncmp(u->dir, hidden[i], len) == 0 && (u->dir[len] == '/' || u->dir[len] == '\0')) {
            return error_set(err, ERR_INVALID, "%s: nodes have a %s of their own; choose another --dir", u->dir,
                             hidden[i]);
        }
    }
    snprintf(u->prefix, sizeof(u->prefix), "rv%08x", (unsigned)XXH3_64bits(u->dir, strlen(u->dir)));
    return 0;
}

void up_close(struct up *u)
{
    arena_close(&u->arena);
}

const char *up_path(struct arena *a, const struct up *u, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *rest = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return arena_printf(a, "%s/%s", u->dir, rest);
}

const char *up_node_ip(struct arena *a, unsigned index)
{
    assert(index < UP_NODES_MAX);
    return arena_printf(a, "10.77.0.%u", 11 + index);
}

static void load_words(struct up *u, const struct value *list, const char **out)
{
    unsigned n = 0;
    VALUE_FOR(i, list)
    {
        struct str s = value_to_str(value_item(list, i));
        if (n < UP_ARGS_MAX && s.n > 0) {
            out[n++] = arena_strndup(&u->arena, s.p, s.n);
        }
    }
    out[n] = NULL;
}

static void save_words(struct arena *a, struct value *doc, const char *key, const char *const *words)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        value_append(a, value_ensure_list(a, doc, key), value_cstr(a, words[i]));
    }
}

int up_load(struct up *u, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const char *path = up_path(&a, u, "cluster.yaml");
    if (access(path, F_OK) != 0) {
        return error_set(err, ERR_NOT_FOUND, "%s: there is no cluster here", u->dir);
    }
    char *text = NULL;
    size_t size = 0;
    int rc = pki_read_file(path, 1 << 20, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    struct value **docs;
    unsigned count;
    rc = yaml_read(&a, (struct str){text, size}, path, &docs, &count, err);
    free(text);
    if (rc != 0) {
        return rc;
    }
    const struct value *ports = count == 1 ? value_get(docs[0], "masterPorts") : NULL;
    int64_t nodes = count == 1 ? value_to_int(value_get(docs[0], "nodes"), -1) : -1;
    if (!value_is_list(ports) || ports->list.count > UP_MASTERS_MAX || nodes < 0 || nodes > (int64_t)UP_NODES_MAX) {
        return error_set(err, ERR_CORRUPT, "%s: not what \"rctl up\" writes (masterPorts, nodes)", path);
    }
    u->masters = ports->list.count;
    u->nodes = (unsigned)nodes;
    u->fabric = value_to_bool(value_get(docs[0], "fabric"), false);
    VALUE_FOR(i, ports)
    {
        u->ports[i] = (uint16_t)value_to_int(value_item(ports, i), 0);
    }
    struct str images = value_to_str(value_get(docs[0], "images"));
    u->images = images.n == 0 ? NULL : arena_strndup(&u->arena, images.p, images.n);
    load_words(u, value_get(docs[0], "masterArguments"), u->master_args);
    load_words(u, value_get(docs[0], "agentArguments"), u->agent_args);
    return 0;
}

int up_save(const struct up *u, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = value_map(&a);
    value_set(&a, doc, "prefix", value_cstr(&a, u->prefix));
    struct value *ports = value_ensure_list(&a, doc, "masterPorts");
    for (unsigned i = 0; i < u->masters; i++) {
        value_append(&a, ports, value_int(&a, u->ports[i]));
    }
    value_set(&a, doc, "nodes", value_int(&a, u->nodes));
    value_set(&a, doc, "fabric", value_bool(&a, u->fabric));
    if (u->images != NULL) {
        value_set(&a, doc, "images", value_cstr(&a, u->images));
    }
    save_words(&a, doc, "masterArguments", u->master_args);
    save_words(&a, doc, "agentArguments", u->agent_args);
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_puts(&b, "# Written by \"rctl up\"; \"rctl down\" removes it.\n");
    yaml_write(&b, doc);
    return pki_write_file(up_path(&a, u, "cluster.yaml"), b.data, b.size, 0644, err);
}

static int make_dir(const char *path, mode_t mode, struct error *err)
{
    return mkdir(path, mode) != 0 && errno != EEXIST ? error_set_errno(err, errno, "make directory %s", path) : 0;
}

int up_make_dirs(const struct up *u, struct error *err)
{
    static const char *const parts[] = {"", "/run", "/logs", "/masters", "/nodes"};
    char path[UP_PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s", u->dir);
    for (char *p = strchr(path + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = '\0';
        int rc = make_dir(path, 0755, err);
        *p = '/';
        if (rc != 0) {
            return rc;
        }
    }
    int rc = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(parts) && rc == 0; i++) {
        snprintf(path, sizeof(path), "%s%s", u->dir, parts[i]);
        /* Root of a pod with user ids of its own passes through nodes/ (agent/util/userns.h), and cannot look into
         * it. */
        bool passed = strcmp(parts[i], "/nodes") == 0;
        rc = make_dir(path, i == 0 ? 0755 : passed ? 0711 : 0700, err);
    }
    return rc;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) != 0 && errno != ENOENT && errno != EBUSY ? -1 : 0;
}

int up_remove_tree(const char *path, struct error *err)
{
    if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT) {
        return error_set_errno(err, errno, "remove %s", path);
    }
    return 0;
}

/* ---- Pid records ---- */

static void boot_id(char out[64])
{
    out[0] = '\0';
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (f != NULL) {
        if (fscanf(f, "%63s", out) != 1) {
            out[0] = '\0';
        }
        fclose(f);
    }
}

/* Field 22 of /proc/PID/stat: with the boot it tells one process from all that ever have its number. 0 if there is
 * none, or a zombie. */
static unsigned long long start_time(pid_t pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    size_t n = fread(line, 1, sizeof(line) - 1, f);
    fclose(f);
    line[n] = '\0';
    char *p = strrchr(line, ')'); /* the name may hold anything */
    unsigned long long start = 0;
    char state = '\0';
    if (p == NULL || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                            &state, &start) != 2) {
        return 0;
    }
    return state == 'Z' || state == 'X' ? 0 : start;
}

int up_record_pid(const struct up *u, const char *name, pid_t pid, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    char boot[64];
    boot_id(boot);
    const char *text = arena_printf(&a, "%d %llu %s\n", (int)pid, start_time(pid), boot);
    return pki_write_file(up_path(&a, u, "run/%s.pid", name), text, strlen(text), 0644, err);
}

pid_t up_alive(const struct up *u, const char *name)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    FILE *f = fopen(up_path(&a, u, "run/%s.pid", name), "re");
    if (f == NULL) {
        return 0;
    }
    int pid = 0;
    unsigned long long start = 0;
    char boot[64] = "", now[64];
    int n = fscanf(f, "%d %llu %63s", &pid, &start, boot);
    fclose(f);
    boot_id(now);
    if (n != 3 || pid <= 1 || start == 0 || strcmp(boot, now) != 0 || start_time(pid) != start) {
        return 0;
    }
    return pid;
}

/* It has been killed and is not gone yet: a whole node takes a moment, more on a busy machine. Field 9 of its stat has
 * the kernel's PF_EXITING then, or SIGKILL still waits for it (bit 8 of SigPnd). */
static bool is_ending(pid_t pid)
{
    char path[64], line[1024];
    unsigned flags = 0;
    unsigned long long pending = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    line[fread(line, 1, sizeof line - 1, f)] = '\0';
    fclose(f);
    const char *p = strrchr(line, ')');
    if (p == NULL || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1) {
        return false;
    }
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "SigPnd: %llx", &pending) == 1) {
            break;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return (flags & 4u) != 0 || (pending >> (SIGKILL - 1) & 1) != 0;
}

pid_t up_runs(const struct up *u, const char *name)
{
    const struct env *env = env_real();
    int64_t until = env_now_ms(env) + ENDING_MS;
    pid_t pid;
    while ((pid = up_alive(u, name)) != 0 && is_ending(pid) && env_now_ms(env) < until) {
        usleep(10000);
    }
    return pid;
}

void up_stop(const struct up *u, const char *name, int64_t term_ms)
{
    const struct env *env = env_real();
    int64_t kill_at = env_now_ms(env) + term_ms, until = kill_at + 10000;
    pid_t pid = up_alive(u, name);
    if (pid != 0) {
        kill(pid, term_ms > 0 ? SIGTERM : SIGKILL);
    }
    for (bool killed = term_ms <= 0; (pid = up_alive(u, name)) != 0 && env_now_ms(env) < until;) {
        if (!killed && env_now_ms(env) >= kill_at) {
            kill(pid, SIGKILL);
            killed = true;
        }
        usleep(10000);
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (pid == 0) {
        unlink(up_path(&a, u, "run/%s.pid", name));
    }
}

/* ---- What is not ours ---- */

/* Daemons lock their data directories: a master the directory, an agent a file in it. */
static bool is_locked(const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static int check_stranger(const struct up *u, struct arena *a, const char *name, struct error *err)
{
    bool master = name[0] == 'm';
    const char *dir = up_path(a, u, "%s/%s", master ? "masters" : "nodes", name);
    if (up_alive(u, name) != 0 || !is_locked(master ? dir : arena_printf(a, "%s/lock", dir))) {
        return 0;
    }
    return error_set(err, ERR_BUSY,
                     "a %s that \"rctl up\" did not start works in %s; stop that one first (`pgrep -af 'reeve-%s run'` "
                     "shows it)",
                     master ? "reeve-master" : "reeve-agent", dir, master ? "master" : "agent");
}

int up_check_strangers(const struct up *u, const char *name, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (name != NULL) {
        return check_stranger(u, &a, name, err);
    }
    int rc = 0;
    for (unsigned i = 0; i < u->masters && rc == 0; i++) {
        rc = check_stranger(u, &a, arena_printf(&a, "m%u", i + 1), err);
    }
    for (unsigned i = 0; i < u->nodes && rc == 0; i++) {
        rc = check_stranger(u, &a, arena_printf(&a, "n%u", i + 1), err);
    }
    return rc;
}

int up_check_kind(const struct up *u, struct error *err)
{
    static const char *const rows[][2] = {{"master.yaml", "reeve-master"}, {"agent.yaml", "reeve-agent"}};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (access(up_path(&a, u, "cluster.yaml"), F_OK) != 0 && access(up_path(&a, u, "%s", rows[i][0]), F_OK) == 0) {
            return error_set(
                err, ERR_INVALID,
                "%s is the data directory of a %s that was made by hand, not a cluster of \"rctl up\"; give "
                "another --dir",
                u->dir, rows[i][1]);
        }
    }
    return 0;
}
