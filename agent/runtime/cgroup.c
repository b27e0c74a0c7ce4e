#include "agent/runtime/cgroup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/util/defer.h"
#include "agent/util/fsutil.h"

/* What was learnt on machines of both kinds:
 *
 * - crun refuses a "hybrid" tree (version 1 controllers and a cgroup2 at /sys/fs/cgroup/unified that still has one). A
 *   node in namespaces of its own gets a fresh tmpfs on /sys/fs/cgroup with each version 1 controller and
 *   `none,name=systemd` mounted and no unified; on a real machine the agent unmounts unified in its own mount
 *   namespace.
 * - A version 1 cpuset must be filled (cpuset.cpus, cpuset.mems from the parent) before a process can enter it.
 * - On version 2 a group with processes cannot hand controllers down ("no internal processes"), hence the leaf "agent".
 * - rmdir gives EBUSY until the killed processes are reaped and their memory is uncharged: removal tries again. */

#define HIERARCHIES_MAX 16u
#define REMOVE_FIRST_MS 5
#define REMOVE_LAST_MS  200
#define REMOVE_DEPTH    16u  /* of groups in groups */
#define DISK_WEIGHT     "50" /* 100 is everybody's */

struct cgroup {
    uv_loop_t *loop;
    const struct log *log;
    int version;
    char parent[CGROUP_PATH_MAX / 2];                 /* "/reeve" or "" */
    char roots[HIERARCHIES_MAX][CGROUP_PATH_MAX / 2]; /* where each hierarchy is mounted */
    unsigned roots_count;
    char memory[CGROUP_PATH_MAX / 2], cpu[CGROUP_PATH_MAX / 2], cpuacct[CGROUP_PATH_MAX / 2], pids[CGROUP_PATH_MAX / 2];
    unsigned holders; /* the owner and running removals */
    void (*close_cb)(void *data);
    void *close_data;
};

/* ---- Small reads and writes ---- */

static bool read_u64(const char *root, const char *path, const char *file, uint64_t *out)
{
    char name[FS_PATH_MAX], text[64];
    if (root[0] == '\0') {
        return false;
    }
    fs_path(name, sizeof name, "%s%s/%s", root, path, file);
    return fs_read_line(name, text, sizeof text) && sscanf(text, "%" SCNu64, out) == 1;
}

/* A line "KEY VALUE" of a file. */
static bool read_key(const char *root, const char *path, const char *file, const char *key, uint64_t *out)
{
    char name[FS_PATH_MAX];
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (root[0] == '\0') {
        return false;
    }
    fs_path(name, sizeof name, "%s%s/%s", root, path, file);
    if (fs_read_file(name, 1 << 20, &b, NULL) != 0) {
        return false;
    }
    size_t n = strlen(key);
    for (const char *s = buf_cstr(&b); s != NULL; s = strchr(s, '\n'), s = s == NULL ? NULL : s + 1) {
        if (strncmp(s, key, n) == 0 && s[n] == ' ') {
            return sscanf(s + n + 1, "%" SCNu64, out) == 1;
        }
    }
    return false;
}

static int write_number(const char *root, const char *path, const char *file, int64_t v, struct error *err)
{
    char name[FS_PATH_MAX], text[32];
    fs_path(name, sizeof name, "%s%s/%s", root, path, file);
    snprintf(text, sizeof text, "%" PRId64, v);
    return fs_write_value(name, text, err);
}

/* ---- Opening ---- */

static void find_v1(struct cgroup *c, const char *root)
{
    DIR *d = opendir(root);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[FS_PATH_MAX], found[CGROUP_PATH_MAX / 2];
        struct statfs fs;
        fs_path(path, sizeof path, "%s/%s", root, e->d_name);
        CLEANUP_FREE char *real = realpath(path, NULL);
        if (e->d_name[0] == '.' || real == NULL || strlen(real) >= sizeof found || statfs(real, &fs) != 0 ||
            fs.f_type != CGROUP_SUPER_MAGIC) {
            continue;
        }
        strcpy(found, real);
        if (strcmp(e->d_name, "memory") == 0) {
            strcpy(c->memory, found);
        } else if (strcmp(e->d_name, "cpu") == 0) {
            strcpy(c->cpu, found);
        } else if (strcmp(e->d_name, "cpuacct") == 0) {
            strcpy(c->cpuacct, found);
        } else if (strcmp(e->d_name, "pids") == 0) {
            strcpy(c->pids, found);
        }
        bool known = false; /* "cpu" and "cpuacct" may be links to "cpu,cpuacct" */
        for (unsigned i = 0; i < c->roots_count; i++) {
            known |= strcmp(c->roots[i], found) == 0;
        }
        if (!known && c->roots_count < HIERARCHIES_MAX) {
            strcpy(c->roots[c->roots_count++], found);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
}

/* Processes of the group at path move to its leaf "agent". */
static void move_processes_to_leaf(const char *path)
{
    char leaf[FS_PATH_MAX], procs[FS_PATH_MAX];
    fs_path(leaf, sizeof leaf, "%s/agent", path);
    if (mkdir(leaf, 0755) != 0 && errno != EEXIST) {
        return;
    }
    fs_path(procs, sizeof procs, "%s/cgroup.procs", path);
    fs_path(leaf, sizeof leaf, "%s/agent/cgroup.procs", path);
    for (unsigned round = 0; round < 8; round++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        if (fs_read_file(procs, 1 << 20, &b, NULL) != 0 || b.size == 0) {
            return;
        }
        char *save = NULL;
        for (char *pid = strtok_r((char *)buf_cstr(&b), "\n", &save); pid != NULL; pid = strtok_r(NULL, "\n", &save)) {
            fs_write_value(leaf, pid, NULL);
        }
    }
}

/* v2: controllers for the children of the group at path. Missing ones are no fault. */
static void delegate(const char *path)
{
    static const char *const wanted[] = {"+memory", "+cpu", "+pids", "+cpuset", "+io"};
    char file[FS_PATH_MAX];
    fs_path(file, sizeof file, "%s/cgroup.subtree_control", path);
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++) {
        struct error err = {0};
        if (fs_write_value(file, wanted[i], &err) != 0 && strstr(err.message, strerror(EBUSY)) != NULL) {
            move_processes_to_leaf(path);
            fs_write_value(file, wanted[i], NULL);
        }
    }
}

/* v1: an empty cpuset takes its parent's. */
static void fill_cpuset(const char *root, const char *path)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
        char own[FS_PATH_MAX], above[FS_PATH_MAX], text[512];
        fs_path(own, sizeof own, "%s%s/%s", root, path, files[i]);
        fs_path(above, sizeof above, "%s%s/../%s", root, path, files[i]);
        if (fs_read_line(own, text, sizeof text) && text[0] == '\0' && fs_read_line(above, text, sizeof text)) {
            fs_write_value(own, text, NULL);
        }
    }
}

/* One directory, below an existing one, in all hierarchies. */
static int make_level(struct cgroup *c, const char *path, struct error *err)
{
    for (unsigned i = 0; i < c->roots_count; i++) {
        char dir[FS_PATH_MAX];
        fs_path(dir, sizeof dir, "%s%s", c->roots[i], path);
        if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
            return error_set_errno(err, errno, "cannot make the control group %s", dir);
        }
        if (c->version == 1) {
            fill_cpuset(c->roots[i], path);
        } else {
            delegate(dir);
        }
    }
    return 0;
}

/* Where the kernel shares a disk out by weight (io.cost or BFQ), all pods together have half of what each of the
 * system's groups has, and each pod the same among them. Elsewhere there is no such file, or nothing that goes by
 * it. */
static void weigh_disk(const struct cgroup *c)
{
    static const char *const files[] = {"io.weight", "io.bfq.weight", "blkio.bfq.weight", "blkio.weight"};
    for (unsigned i = 0; c->parent[0] != '\0' && i < c->roots_count; i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(files); k++) {
            char path[FS_PATH_MAX];
            struct error err = {0};
            fs_path(path, sizeof path, "%s%s/%s", c->roots[i], c->parent, files[k]);
            if (fs_exists(path) && fs_write_value(path, DISK_WEIGHT, &err) != 0) {
                log_warn(c->log, "cgroup", "pods have no lesser share of the disk: %s", err.message);
            }
        }
    }
}

static int make_parents(struct cgroup *c, struct error *err)
{
    char path[CGROUP_PATH_MAX];
    int rc = 0;
    if (c->version == 2) {
        delegate(c->roots[0]);
    }
    for (size_t n = 1; rc == 0 && n <= strlen(c->parent); n++) {
        if (c->parent[n] == '/' || c->parent[n] == '\0') {
            fs_path(path, sizeof path, "%.*s", (int)n, c->parent);
            rc = make_level(c, path, err);
        }
    }
    if (rc == 0) {
        weigh_disk(c);
    }
    return rc;
}

int cgroup_new(uv_loop_t *loop, const char *root, const char *parent, const struct log *log, struct cgroup **out,
               struct error *err)
{
    struct statfs fs;
    root = root == NULL ? "/sys/fs/cgroup" : root;
    if (statfs(root, &fs) != 0) {
        return error_set_errno(err, errno, "cannot find control groups at %s", root);
    }
    return cgroup_new_of(loop, fs.f_type == CGROUP2_SUPER_MAGIC ? 2 : 1, root, parent, log, out, err);
}

int cgroup_new_of(uv_loop_t *loop, int version, const char *root, const char *parent, const struct log *log,
                  struct cgroup **out, struct error *err)
{
    assert(version == 1 || version == 2);
    while (parent[0] == '/') {
        parent++;
    }
    if (strlen(root) >= CGROUP_PATH_MAX / 4 || strlen(parent) >= CGROUP_PATH_MAX / 4) {
        return error_set(err, ERR_INVALID, "the path of the control groups is too long: %s/%s", root, parent);
    }
    struct cgroup *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    c->log = log;
    c->holders = 1;
    if (parent[0] != '\0') {
        fs_path(c->parent, sizeof c->parent, "/%s", parent);
    }
    c->version = version;
    if (version == 2) {
        c->roots_count = 1;
        fs_path(c->roots[0], sizeof c->roots[0], "%s", root);
    } else {
        find_v1(c, root);
    }
    int rc = 0;
    if (c->roots_count == 0) {
        rc = error_set(err, ERR_UNSUPPORTED, "no control groups are mounted at %s", root);
    }
    rc = rc != 0 ? rc : make_parents(c, err);
    if (rc != 0) {
        free(c);
        return rc;
    }
    *out = c;
    return 0;
}

struct cgroup *cgroup_hollow_new(uv_loop_t *loop)
{
    struct cgroup *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    c->holders = 1;
    return c;
}

static void cgroup_release(struct cgroup *c)
{
    if (--c->holders > 0) {
        return;
    }
    void (*cb)(void *data) = c->close_cb;
    void *data = c->close_data;
    free(c);
    if (cb != NULL) {
        cb(data);
    }
}

static void release_deferred(void *data)
{
    cgroup_release(data);
}

void cgroup_close(struct cgroup *c, void (*cb)(void *data), void *data)
{
    c->close_cb = cb;
    c->close_data = data;
    defer_call(c->loop, release_deferred, c);
}

int cgroup_version(const struct cgroup *c)
{
    return c->version;
}

/* ---- Pods ---- */

static int set_limits_v1(struct cgroup *c, const char *path, const struct cgroup_limits *l, struct error *err)
{
    int rc = 0;
    if (c->memory[0] != '\0') {
        rc = write_number(c->memory, path, "memory.limit_in_bytes", l->memory_bytes > 0 ? (int64_t)l->memory_bytes : -1,
                          err);
    }
    if (rc == 0 && c->cpu[0] != '\0') {
        rc = write_number(c->cpu, path, "cpu.shares", l->cpu_shares > 0 ? (int64_t)l->cpu_shares : 2, err);
        if (rc == 0 && l->cpu_quota_us > 0) {
            rc = write_number(c->cpu, path, "cpu.cfs_period_us", l->cpu_period_us > 0 ? l->cpu_period_us : 100000, err);
        }
        rc = rc != 0 ? rc
                     : write_number(c->cpu, path, "cpu.cfs_quota_us", l->cpu_quota_us > 0 ? l->cpu_quota_us : -1, err);
    }
    if (rc == 0 && c->pids[0] != '\0' && l->pids_max > 0) {
        rc = write_number(c->pids, path, "pids.max", l->pids_max, err);
    }
    return rc;
}

static int write_or_max(const char *root, const char *path, const char *file, uint64_t v, struct error *err)
{
    char name[FS_PATH_MAX], text[32] = "max";
    fs_path(name, sizeof name, "%s%s/%s", root, path, file);
    if (v > 0) {
        snprintf(text, sizeof text, "%" PRIu64, v);
    }
    return fs_exists(name) ? fs_write_value(name, text, err) : 0; /* the controller may not be delegated to us */
}

static int set_limits_v2(struct cgroup *c, const char *path, const struct cgroup_limits *l, struct error *err)
{
    const char *root = c->roots[0];
    char text[64], name[FS_PATH_MAX];
    int rc = write_or_max(root, path, "memory.max", l->memory_bytes, err);
    rc = rc != 0 ? rc : write_or_max(root, path, "pids.max", (uint64_t)MAX(l->pids_max, 0), err);
    /* shares 2..262144 onto weight 1..10000, as runtimes do */
    uint64_t shares = l->cpu_shares > 2 ? MIN(l->cpu_shares, (uint64_t)262144) : 2;
    rc = rc != 0 ? rc : write_or_max(root, path, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, err);
    fs_path(name, sizeof name, "%s%s/cpu.max", root, path);
    if (rc == 0 && fs_exists(name)) {
        int64_t period = l->cpu_period_us > 0 ? l->cpu_period_us : 100000;
        if (l->cpu_quota_us > 0) {
            snprintf(text, sizeof text, "%" PRId64 " %" PRId64, l->cpu_quota_us, period);
        } else {
            snprintf(text, sizeof text, "max %" PRId64, period);
        }
        rc = fs_write_value(name, text, err);
    }
    return rc;
}

int cgroup_limit_all(struct cgroup *c, uint64_t memory_bytes, int64_t pids_max, struct error *err)
{
    int rc = 0;
    if (c->version == 0) {
        return 0;
    }
    if (c->parent[0] == '\0') {
        return error_set(err, ERR_UNSUPPORTED, "pods without a control group of their own have no common limit");
    }
    if (c->version == 2) {
        rc = write_or_max(c->roots[0], c->parent, "memory.max", memory_bytes, err);
        return rc != 0 ? rc : write_or_max(c->roots[0], c->parent, "pids.max", (uint64_t)pids_max, err);
    }
    if (c->pids[0] != '\0' && pids_max > 0) {
        rc = write_number(c->pids, c->parent, "pids.max", pids_max, err);
    }
    if (rc == 0 && c->memory[0] != '\0') {
        rc = write_number(c->memory, c->parent, "memory.limit_in_bytes", memory_bytes > 0 ? (int64_t)memory_bytes : -1,
                          err);
    }
    return rc;
}

void cgroup_pod_path(const struct cgroup *c, const char *uid, char path[CGROUP_PATH_MAX])
{
    assert(strchr(uid, '/') == NULL && strlen(uid) < 64);
    fs_path(path, CGROUP_PATH_MAX, "%s/pod%s", c->parent, uid);
}

int cgroup_pod_make(struct cgroup *c, const char *uid, const struct cgroup_limits *limits, char path[CGROUP_PATH_MAX],
                    struct error *err)
{
    cgroup_pod_path(c, uid, path);
    if (c->version == 0) {
        return 0;
    }
    int rc = make_level(c, path, err);
    if (rc == 0 && limits != NULL) {
        rc = c->version == 1 ? set_limits_v1(c, path, limits, err) : set_limits_v2(c, path, limits, err);
    }
    return rc;
}

int cgroup_pod_place(struct cgroup *c, const char *uid, const char *leaf, int pid, struct error *err)
{
    char dir[FS_PATH_MAX], file[FS_PATH_MAX], text[16], path[CGROUP_PATH_MAX];
    int rc = 0;
    snprintf(text, sizeof text, "%d", pid);
    fs_path(path, sizeof path, "%s/pod%s/%s", c->parent, uid, leaf);
    for (unsigned i = 0; c->version != 0 && rc == 0 && i < c->roots_count; i++) {
        fs_path(dir, sizeof dir, "%s%s", c->roots[i], path);
        if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
            return error_set_errno(err, errno, "cannot make the control group %s", dir);
        }
        if (c->version == 1) {
            fill_cpuset(c->roots[i], path);
        }
        fs_path(file, sizeof file, "%s/cgroup.procs", dir);
        rc = fs_write_value(file, text, err);
    }
    return rc;
}

int cgroup_charge_pod(const char *path, int pid, struct error *err)
{
    static const char *const roots[] = {"", "/cpu", "/cpuacct"}; /* version 2; version 1, which may be one */
    const char *end = strrchr(path, '/');
    char text[16];
    int rc = 0;
    snprintf(text, sizeof text, "%d", pid);
    for (unsigned i = 0; end != NULL && end > path && rc == 0 && i < ARRAY_SIZE(roots); i++) {
        char leaf[FS_PATH_MAX], file[FS_PATH_MAX];
        fs_path(leaf, sizeof leaf, "/sys/fs/cgroup%s%.*s/log", roots[i], (int)(end - path), path);
        if (mkdir(leaf, 0755) != 0 && errno != EEXIST) {
            rc = errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot make the control group %s", leaf);
            continue;
        }
        fs_path(file, sizeof file, "%s/cgroup.procs", leaf);
        rc = fs_write_value(file, text, err);
    }
    return rc;
}

void cgroup_procs_file(const struct cgroup *c, const char *path, char out[CGROUP_PATH_MAX * 2])
{
    const char *root = c->version == 1 && c->pids[0] != '\0' ? c->pids : c->roots[0];
    out[0] = '\0';
    if (c->version != 0) {
        fs_path(out, CGROUP_PATH_MAX * 2, "%s%s/cgroup.procs", root, path);
    }
}

/* ---- Usage ---- */

/* Version 1 counts where the process is that wanted another one, version 2 where the limit is. */
uint64_t cgroup_pod_forks_refused(struct cgroup *c, const char *uid)
{
    const char *root = c->version == 1 ? c->pids : c->roots[0];
    char path[CGROUP_PATH_MAX], dir[FS_PATH_MAX];
    uint64_t sum = 0, n = 0;
    if (c->version == 0 || root[0] == '\0') {
        return 0;
    }
    fs_path(path, sizeof path, "%s/pod%s", c->parent, uid);
    sum = read_key(root, path, "pids.events", "max", &n) ? n : 0;
    fs_path(dir, sizeof dir, "%s%s", root, path);
    DIR *d = c->version == 1 ? opendir(dir) : NULL;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            fs_path(path, sizeof path, "%s/pod%s/%s", c->parent, uid, e->d_name);
            sum += read_key(root, path, "pids.events", "max", &n) ? n : 0;
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return sum;
}

static int read_usage(struct cgroup *c, const char *path, bool brief, struct cgroup_usage *out, struct error *err)
{
    struct cgroup_usage u = {0};
    uint64_t inactive = 0, us = 0;
    *out = u;
    if (c->version == 0) {
        return 0;
    }
    bool there;
    if (c->version == 1) {
        there = read_u64(c->memory, path, "memory.usage_in_bytes", &u.memory_bytes);
        there |= read_u64(c->cpuacct, path, "cpuacct.usage", &u.cpu_ns);
        read_key(c->memory, path, "memory.stat", "total_inactive_file", &inactive);
        if (!brief) {
            read_key(c->memory, path, "memory.oom_control", "oom_kill", &u.oom_kills);
            read_u64(c->pids, path, "pids.current", &u.pids);
        }
    } else {
        const char *root = c->roots[0];
        there = read_u64(root, path, "memory.current", &u.memory_bytes);
        there |= read_key(root, path, "cpu.stat", "usage_usec", &us);
        u.cpu_ns = us * 1000;
        read_key(root, path, "memory.stat", "inactive_file", &inactive);
        if (!brief) {
            read_key(root, path, "memory.events", "oom_kill", &u.oom_kills);
            read_u64(root, path, "pids.current", &u.pids);
        }
    }
    if (!there) {
        return error_set(err, ERR_NOT_FOUND, "there is no control group %s", path);
    }
    u.working_set_bytes = u.memory_bytes > inactive ? u.memory_bytes - inactive : 0;
    *out = u;
    return 0;
}

int cgroup_usage(struct cgroup *c, const char *path, struct cgroup_usage *out, struct error *err)
{
    return read_usage(c, path, false, out, err);
}

int cgroup_usage_brief(struct cgroup *c, const char *path, struct cgroup_usage *out, struct error *err)
{
    return read_usage(c, path, true, out, err);
}

int cgroup_usage_all(struct cgroup *c, struct cgroup_usage *out, struct error *err)
{
    return cgroup_usage(c, c->parent, out, err);
}

bool cgroup_pod_next(struct cgroup *c, unsigned *cursor, char uid[64])
{
    char path[FS_PATH_MAX];
    if (c->version == 0) {
        return false;
    }
    fs_path(path, sizeof path, "%s%s", c->version == 1 && c->memory[0] != '\0' ? c->memory : c->roots[0], c->parent);
    DIR *d = opendir(path);
    unsigned at = 0;
    bool found = false;
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, "pod", 3) == 0 && strlen(e->d_name) < 64 + 3 && e->d_type == DT_DIR && at++ == *cursor) {
            snprintf(uid, 64, "%.63s", e->d_name + 3);
            (*cursor)++;
            found = true;
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

/* ---- Removal ---- */

struct removal {
    uv_timer_t timer;
    struct cgroup *c;
    char path[CGROUP_PATH_MAX];
    uint64_t started_ms;
    uint64_t wait_ms;
    int rc;
    struct error error;
    cgroup_done_cb *cb;
    void *data;
};

static void kill_processes(const char *dir)
{
    char file[FS_PATH_MAX];
    CLEANUP_BUF struct buf b = BUF_INIT;
    fs_path(file, sizeof file, "%s/cgroup.procs", dir);
    if (fs_read_file(file, 1 << 20, &b, NULL) != 0) {
        return;
    }
    char *save = NULL;
    for (char *s = strtok_r((char *)buf_cstr(&b), "\n", &save); s != NULL; s = strtok_r(NULL, "\n", &save)) {
        int pid = atoi(s);
        if (pid > 1 && pid != getpid()) { /* 0: a process of a PID namespace that we cannot see */
            kill(pid, SIGKILL);
        }
    }
}

/* Never the root, nor anything beside it. */
static bool is_group(const char *path)
{
    return path[0] == '/' && path[1] != '\0' && path[strlen(path) - 1] != '/' && strstr(path, "/.") == NULL &&
           strstr(path, "//") == NULL;
}

void cgroup_kill(const char *path)
{
    static const char *const roots[] = {"",     "/unified", "/pids",   "/memory",
                                        "/cpu", "/freezer", "/systemd"}; /* one of them has it */
    for (unsigned i = 0; is_group(path) && i < ARRAY_SIZE(roots); i++) {
        char dir[FS_PATH_MAX], file[FS_PATH_MAX];
        fs_path(dir, sizeof dir, "/sys/fs/cgroup%s%s", roots[i], path);
        fs_path(file, sizeof file, "%s/cgroup.kill", dir);
        if (fs_write_value(file, "1", NULL) != 0) { /* version 1, or before Linux 5.14 */
            kill_processes(dir);
        }
    }
}

/* Kills, then removes from the leaves up. The group itself last. 0 if it is gone. */
static int remove_group(const char *dir, unsigned depth)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return errno == ENOENT ? 0 : -errno;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_type == DT_DIR && e->d_name[0] != '.' && depth > 0) {
            char sub[FS_PATH_MAX];
            fs_path(sub, sizeof sub, "%s/%s", dir, e->d_name);
            remove_group(sub, depth - 1);
        }
    }
    closedir(d);
    if (rmdir(dir) == 0 || errno == ENOENT) {
        return 0;
    }
    int rc = -errno;
    kill_processes(dir);
    return rc;
}

/* False: it has not gone in the time that is left. */
static bool has_gone(const char *dir, unsigned *left_ms)
{
    if (rmdir(dir) == 0 || errno != EBUSY) {
        return true;
    }
    for (unsigned wait_ms = 1; remove_group(dir, REMOVE_DEPTH) != 0; wait_ms = MIN(wait_ms * 2, 16u)) {
        if (*left_ms < wait_ms) {
            return false;
        }
        usleep(wait_ms * 1000);
        *left_ms -= wait_ms;
    }
    return true;
}

bool cgroup_remove_ended(const char *path)
{
    static const char top[] = "/sys/fs/cgroup";
    unsigned left_ms = CGROUP_ENDED_MS;
    char dir[FS_PATH_MAX];
    if (!is_group(path)) {
        return false;
    }
    fs_path(dir, sizeof dir, "%s%s", top, path); /* version 2 */
    bool gone = has_gone(dir, &left_ms);
    DIR *d = opendir(top);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_type == DT_DIR && e->d_name[0] != '.') { /* links lead to where the others are */
            fs_path(dir, sizeof dir, "%s/%s%s", top, e->d_name, path);
            gone = has_gone(dir, &left_ms) && gone;
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return gone;
}

static void removal_closed(uv_handle_t *h)
{
    struct removal *r = h->data;
    struct cgroup *c = r->c;
    if (r->cb != NULL) {
        r->cb(r->rc == 0 ? NULL : &r->error, r->data);
    }
    free(r);
    cgroup_release(c);
}

static void removal_try(uv_timer_t *t)
{
    struct removal *r = t->data;
    int rc = 0;
    for (unsigned i = 0; i < r->c->roots_count; i++) {
        char dir[FS_PATH_MAX];
        fs_path(dir, sizeof dir, "%s%s", r->c->roots[i], r->path);
        int one = remove_group(dir, REMOVE_DEPTH);
        rc = rc != 0 ? rc : one;
    }
    if (rc != 0 && uv_now(r->c->loop) - r->started_ms < CGROUP_REMOVE_MS) {
        r->wait_ms = MIN(r->wait_ms * 2, (uint64_t)REMOVE_LAST_MS);
        uv_timer_start(t, removal_try, r->wait_ms, 0);
        return;
    }
    if (rc != 0) {
        r->rc = error_set_errno(&r->error, -rc, "cannot remove the control group %s", r->path);
    }
    uv_close((uv_handle_t *)t, removal_closed);
}

void cgroup_pod_remove(struct cgroup *c, const char *uid, cgroup_done_cb *cb, void *data)
{
    assert(strchr(uid, '/') == NULL && uid[0] != '\0');
    struct removal *r = xcalloc(1, sizeof *r);
    r->c = c;
    r->cb = cb;
    r->data = data;
    r->started_ms = uv_now(c->loop);
    r->wait_ms = REMOVE_FIRST_MS;
    fs_path(r->path, sizeof r->path, "%s/pod%s", c->parent, uid);
    c->holders++;
    uv_timer_init(c->loop, &r->timer);
    r->timer.data = r;
    uv_timer_start(&r->timer, removal_try, 0, 0);
}
