#include "agent/runtime/sandbox.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/runtime/sandbox_pause.h"
#include "agent/util/defer.h"
#include "agent/util/fsutil.h"
#include "agent/util/userns.h"
#include "base/failpoint.h"

/* unshare(2) and setns(2) concern the calling thread, so the namespaces are made in a thread that ends right after: no
 * fork of a process with a TLS library and open sockets in it, and no thread of the pool left in a foreign namespace.
 * The bind mount of /proc/thread-self/ns/X onto a file then keeps the namespace alive. */

struct sandbox_store {
    uv_loop_t *loop;
    const struct log *log;
    char *dir;
    bool hollow, closing;
    unsigned running;
    void (*close_cb)(void *data);
    void *close_data;
};

struct sandbox_job {
    uv_work_t work;
    struct sandbox_store *store;
    struct sandbox sb;
    char *resolv_conf;
    bool shared_pid;
    struct sandbox_sysctl *sysctls;
    unsigned sysctls_count;
    int rc;
    struct error error;
    sandbox_cb *cb;           /* make */
    sandbox_done_cb *done_cb; /* remove */
    void *data;
};

/* ---- Paths and what is written ---- */

static void fill_paths(const struct sandbox_store *s, const char *uid, struct sandbox *sb)
{
    fs_path(sb->uid, sizeof sb->uid, "%s", uid);
    if (!sb->host_network) {
        fs_path(sb->net, sizeof sb->net, "%s/%s/net", s->dir, uid);
        fs_path(sb->uts, sizeof sb->uts, "%s/%s/uts", s->dir, uid);
    }
    if (sb->pause_pid != 0) {
        fs_path(sb->pid, sizeof sb->pid, "%s/%s/pid", s->dir, uid);
    }
    if (sb->user_first != 0) {
        fs_path(sb->user, sizeof sb->user, "%s/%s/user", s->dir, uid);
    }
    if (!sb->host_ipc) {
        fs_path(sb->ipc, sizeof sb->ipc, "%s/%s/ipc", s->dir, uid);
    }
    fs_path(sb->hosts, sizeof sb->hosts, "%s/%s/hosts", s->dir, uid);
    fs_path(sb->hostname_file, sizeof sb->hostname_file, "%s/%s/hostname", s->dir, uid);
    fs_path(sb->resolv_conf, sizeof sb->resolv_conf, "%s/%s/resolv.conf", s->dir, uid);
    fs_path(sb->shm, sizeof sb->shm, "%s/%s/shm", s->dir, uid);
}

static int write_info(const struct sandbox_store *s, const struct sandbox *sb, struct error *err)
{
    char path[SANDBOX_PATH_MAX];
    CLEANUP_BUF struct buf b = BUF_INIT;
    fs_path(path, sizeof path, "%s/%s/info", s->dir, sb->uid);
    /* pause_pid comes last: remove_files. */
    buf_printf(&b, "%d %d %s %s %s %d %u %d\n", sb->host_network, sb->host_ipc, sb->hostname,
               sb->ip[0] != '\0' ? sb->ip : "-", sb->domain[0] != '\0' ? sb->domain : "-", sb->fqdn, sb->user_first,
               sb->pause_pid);
    return fs_write_file(path, buf_str(&b), 0644, false, err);
}

/* What exists is written in place: containers hold bind mounts of the file itself, a rename would leave them with
 * the old one. */
void sandbox_uts_name(const struct sandbox *sb, char out[SANDBOX_UTS_MAX])
{
    bool full = sb->fqdn && sb->domain[0] != '\0';
    snprintf(out, SANDBOX_UTS_MAX, "%s%s%s", sb->hostname, full ? "." : "", full ? sb->domain : "");
}

static int write_in_place(const char *path, struct str content, struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, content.p, content.n) != (ssize_t)content.n) {
        return error_set_errno(err, errno, "cannot write %s", path);
    }
    return 0;
}

static int write_hosts(const struct sandbox *sb, const char *extra, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (sb->host_network && fs_read_file("/etc/hosts", 1 << 20, &b, NULL) == 0) {
        buf_putc(&b, '\n');
    } else {
        buf_reset(&b);
        buf_puts(&b, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
                     "fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
        if (sb->ip[0] != '\0') {
            buf_printf(&b, "%s\t", sb->ip);
            if (sb->domain[0] != '\0') {
                buf_printf(&b, "%s.%s\t", sb->hostname, sb->domain);
            }
            buf_printf(&b, "%s\n", sb->hostname);
        }
    }
    buf_puts(&b, extra == NULL ? "" : extra);
    return write_in_place(sb->hosts, buf_str(&b), err);
}

static bool is_namespace(const char *path)
{
    struct statfs fs;
    return path[0] == '\0' || (statfs(path, &fs) == 0 && fs.f_type == NSFS_MAGIC);
}

/* ---- Making, on worker threads ---- */

struct unshare_args {
    const struct sandbox_store *store;
    struct sandbox_job *job;
    int rc;
    struct error error;
};

static int loopback_up(struct error *err)
{
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo"};
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) != 0) {
        return error_set_errno(err, errno, "cannot see the loopback interface");
    }
    r.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &r) == 0 ? 0 : error_set_errno(err, errno, "cannot bring the loopback interface up");
}

static int bind_namespace(const char *kind, const char *path, struct error *err)
{
    char source[64];
    if (path[0] == '\0') {
        return 0;
    }
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot create %s", path);
    }
    snprintf(source, sizeof source, "/proc/thread-self/ns/%s", kind);
    return fs_mount(source, path, NULL, MS_BIND, NULL, err);
}

/* /proc/sys shows the settings of the namespaces of whoever opens it: this thread. */
static int write_sysctl(const struct sandbox_sysctl *s, struct error *err)
{
    char path[SANDBOX_PATH_MAX];
    int n = snprintf(path, sizeof path, "/proc/sys/%s", s->name);
    for (char *c = path + strlen("/proc/sys/"); n < (int)sizeof path && *c != '\0'; c++) {
        *c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
    }
    if (n >= (int)sizeof path || strstr(path, "..") != NULL) {
        return error_set(err, ERR_INVALID, "\"%.100s\" is no kernel setting", s->name);
    }
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, s->value, strlen(s->value)) < 0) {
        return error_set_errno(err, errno, "cannot set sysctl %s to \"%s\"", s->name, s->value);
    }
    return 0;
}

/* Echo requests without raw sockets, for every group: containers have no CAP_NET_RAW. The pod's own settings come after
 * it. */
static int allow_ping(struct error *err)
{
    return write_sysctl(&(struct sandbox_sysctl){"net.ipv4.ping_group_range", "0 2147483647"}, err);
}

/* The calling thread must end after it: its children would be in the new namespace. */
static int hold_pid(const struct sandbox_store *s, struct sandbox *sb, struct error *err)
{
    char root[SANDBOX_PATH_MAX], target[SANDBOX_PATH_MAX];
    int pid = 0;
    fs_path(root, sizeof root, "%s/%s/root", s->dir, sb->uid);
    fs_path(target, sizeof target, "%s/%s/pid", s->dir, sb->uid);
    fs_unmount_below(target, NULL); /* of one that was killed */
    int rc = fs_make_dirs(root, 0700, err);
    rc = rc != 0 ? rc : sandbox_pause_start(root, target, sb->user, &pid, err);
    if (rc != 0) {
        return rc;
    }
    sb->pause_pid = pid;
    snprintf(sb->pid, sizeof sb->pid, "%s", target);
    return 0;
}

static void *unshare_thread(void *arg)
{
    struct unshare_args *a = arg;
    struct sandbox *sb = &a->job->sb;
    char uts[SANDBOX_UTS_MAX];
    int flags = (sb->host_network ? 0 : CLONE_NEWNET | CLONE_NEWUTS) | (sb->host_ipc ? 0 : CLONE_NEWIPC);
    if (sb->user_first != 0) {
        a->rc = userns_make(sb->user_first, flags, sb->user, &a->error);
    } else if (flags != 0 && unshare(flags) != 0) {
        a->rc = error_set_errno(&a->error, errno, "cannot make namespaces for the pod (is the agent run as root?)");
    }
    if (a->rc != 0) {
        return NULL;
    }
    if (!sb->host_network) {
        sandbox_uts_name(sb, uts);
        if (sethostname(uts, strlen(uts)) != 0) {
            a->rc = error_set_errno(&a->error, errno, "cannot set the host name %s", uts);
            return NULL;
        }
        a->rc = loopback_up(&a->error);
    }
    if (a->rc == 0 && !sb->host_network) {
        a->rc = allow_ping(&a->error);
    }
    for (unsigned i = 0; i < a->job->sysctls_count && a->rc == 0; i++) {
        a->rc = write_sysctl(&a->job->sysctls[i], &a->error);
    }
    a->rc = a->rc != 0 ? a->rc : bind_namespace("net", sb->net, &a->error);
    a->rc = a->rc != 0 ? a->rc : bind_namespace("uts", sb->uts, &a->error);
    a->rc = a->rc != 0 ? a->rc : bind_namespace("ipc", sb->ipc, &a->error);
    a->rc = a->rc != 0 || !a->job->shared_pid ? a->rc : hold_pid(a->store, sb, &a->error); /* last: see there */
    return NULL;
}

static int make_namespaces(struct sandbox_job *j, struct error *err)
{
    struct unshare_args a = {.store = j->store, .job = j};
    pthread_t t;
    int rc = pthread_create(&t, NULL, unshare_thread, &a);
    if (rc != 0) {
        return error_set_errno(err, rc, "cannot start a thread");
    }
    pthread_join(t, NULL);
    return a.rc == 0 ? 0 : error_set(err, a.rc, "%s", a.error.message);
}

static int make_files(struct sandbox_job *j, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char options[64];
    int rc = fs_make_dirs(j->sb.shm, 01777, err);
    if (rc == 0) {
        snprintf(options, sizeof options, "mode=1777,size=%u,uid=%u,gid=%u", SANDBOX_SHM_MAX, j->sb.user_first,
                 j->sb.user_first);
        rc = fs_mount("shm", j->sb.shm, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, err);
    }
    if (rc != 0) {
        return rc;
    }
    char uts[SANDBOX_UTS_MAX];
    sandbox_uts_name(&j->sb, uts);
    buf_printf(&b, "%s\n", uts);
    rc = write_in_place(j->sb.hostname_file, buf_str(&b), err);
    buf_reset(&b);
    if (j->resolv_conf != NULL) {
        buf_puts(&b, j->resolv_conf);
    } else if (fs_read_file("/etc/resolv.conf", 1 << 20, &b, NULL) != 0) {
        buf_reset(&b);
    }
    rc = rc != 0 ? rc : write_in_place(j->sb.resolv_conf, buf_str(&b), err);
    rc = rc != 0 ? rc : write_hosts(&j->sb, NULL, err);
    const char *const files[] = {j->sb.hosts, j->sb.hostname_file, j->sb.resolv_conf};
    for (unsigned i = 0; i < ARRAY_SIZE(files) && rc == 0 && j->sb.user_first != 0; i++) {
        if (chown(files[i], j->sb.user_first, j->sb.user_first) != 0) {
            rc = error_set_errno(err, errno, "cannot give %s to the pod's root", files[i]);
        }
    }
    return rc;
}

/* pause_pid: as far as it is known (0: by the info file). */
static int remove_files(const struct sandbox_store *s, const char *uid, int pause_pid, struct error *err)
{
    char dir[SANDBOX_PATH_MAX], ns[SANDBOX_PATH_MAX], path[SANDBOX_PATH_MAX], line[512];
    fs_path(dir, sizeof dir, "%s/%s", s->dir, uid);
    fs_path(ns, sizeof ns, "%s/%s/pid", s->dir, uid);
    fs_path(path, sizeof path, "%s/%s/info", s->dir, uid);
    if (pause_pid == 0 && fs_read_line(path, line, sizeof line)) {
        const char *last = strrchr(line, ' ');
        pause_pid = last == NULL ? 0 : atoi(last + 1);
    }
    if (is_namespace(ns)) {
        sandbox_pause_end(pause_pid, ns);
    }
    return fs_remove_mounted(dir, NULL, 0, err); /* all of it lies on a tmpfs of its own */
}

/* Containers can write to /etc/hosts and its like: what a pod fills is its own. */
static int mount_own(const char *dir, struct error *err)
{
    char options[64];
    snprintf(options, sizeof options, "mode=0700,size=%u,nr_inodes=%u", SANDBOX_FILES_MAX, SANDBOX_INODES_MAX);
    return fs_mount("sandbox", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, err);
}

static void make_work(uv_work_t *w)
{
    struct sandbox_job *j = CONTAINER_OF(w, struct sandbox_job, work);
    char dir[SANDBOX_PATH_MAX], uts[SANDBOX_UTS_MAX];
    struct sandbox there;
    sandbox_uts_name(&j->sb, uts);
    if (strlen(uts) > HOST_NAME_MAX) {
        j->rc = error_set(&j->error, ERR_INVALID, "the full host name %s is too long (%zu characters; %d are possible)",
                          uts, strlen(uts), HOST_NAME_MAX);
        return;
    }
    if (sandbox_find(j->store, j->sb.uid, &there)) {
        j->sb = there;
        return;
    }
    /* The rest of an attempt that was cut off. */
    j->rc = remove_files(j->store, j->sb.uid, 0, &j->error);
    fs_path(dir, sizeof dir, "%s/%s", j->store->dir, j->sb.uid);
    j->rc = j->rc != 0 ? j->rc : fs_make_dirs(dir, 0700, &j->error);
    j->rc = j->rc != 0 ? j->rc : mount_own(dir, &j->error);
    j->rc = j->rc != 0 ? j->rc : make_namespaces(j, &j->error);
    j->rc = j->rc != 0 ? j->rc : make_files(j, &j->error);
    failpoint(FAILPOINT_sandbox_before_info);
    /* info comes last: it says that the rest is whole */
    j->rc = j->rc != 0 ? j->rc : write_info(j->store, &j->sb, &j->error);
    if (j->rc != 0) {
        remove_files(j->store, j->sb.uid, j->sb.pause_pid, NULL);
    }
}

static void remove_work(uv_work_t *w)
{
    struct sandbox_job *j = CONTAINER_OF(w, struct sandbox_job, work);
    j->rc = remove_files(j->store, j->sb.uid, 0, &j->error);
}

static void store_release(struct sandbox_store *s);

static void job_finish(struct sandbox_job *j)
{
    struct sandbox_store *s = j->store;
    const struct error *err = j->rc == 0 ? NULL : &j->error;
    if (j->cb != NULL) {
        j->cb(err == NULL ? &j->sb : NULL, err, j->data);
    }
    if (j->done_cb != NULL) {
        j->done_cb(err, j->data);
    }
    for (unsigned i = 0; i < j->sysctls_count; i++) {
        free((char *)(uintptr_t)j->sysctls[i].name);
        free((char *)(uintptr_t)j->sysctls[i].value);
    }
    free(j->sysctls);
    free(j->resolv_conf);
    free(j);
    store_release(s);
}

static void job_done(uv_work_t *w, int status)
{
    struct sandbox_job *j = CONTAINER_OF(w, struct sandbox_job, work);
    if (status != 0) {
        j->rc = error_set_errno(&j->error, -status, "sandbox");
    }
    job_finish(j);
}

static void job_deferred(void *data)
{
    job_finish(data);
}

static void job_run(struct sandbox_job *j, uv_work_cb work)
{
    struct sandbox_store *s = j->store;
    assert(!s->closing);
    s->running++;
    if (s->hollow) {
        defer_call(s->loop, job_deferred, j);
        return;
    }
    int rc = uv_queue_work(s->loop, &j->work, work, job_done);
    assert(rc == 0);
    (void)rc;
}

static bool uid_is_safe(const char *uid)
{
    size_t n = strlen(uid);
    return n > 0 && n < sizeof((struct sandbox *)0)->uid && strchr(uid, '/') == NULL && uid[0] != '.';
}

void sandbox_make(struct sandbox_store *s, const struct sandbox_spec *spec, sandbox_cb *cb, void *data)
{
    assert(uid_is_safe(spec->uid) && cb != NULL);
    struct sandbox_job *j = xcalloc(1, sizeof *j);
    j->store = s;
    j->cb = cb;
    j->data = data;
    j->sb.host_network = spec->host_network;
    j->sb.host_ipc = spec->host_ipc;
    j->sb.user_first = spec->user_first;
    if (s->hollow) {
        snprintf(j->sb.uid, sizeof j->sb.uid, "%s", spec->uid);
    } else {
        fill_paths(s, spec->uid, &j->sb);
    }
    if (spec->host_network) {
        gethostname(j->sb.hostname, sizeof j->sb.hostname - 1);
    } else {
        snprintf(j->sb.hostname, 64, "%s", spec->hostname);
        size_t n = strlen(j->sb.hostname); /* a cut may end on a hyphen or dot */
        while (n > 0 && (j->sb.hostname[n - 1] == '-' || j->sb.hostname[n - 1] == '.')) {
            j->sb.hostname[--n] = '\0';
        }
    }
    snprintf(j->sb.domain, sizeof j->sb.domain, "%s", spec->domain == NULL ? "" : spec->domain);
    j->shared_pid = spec->shared_pid;
    j->sb.fqdn = spec->fqdn && !spec->host_network;
    j->sysctls = xcalloc(spec->sysctls_count + 1, sizeof *j->sysctls);
    for (; j->sysctls_count < spec->sysctls_count; j->sysctls_count++) {
        const struct sandbox_sysctl *from = &spec->sysctls[j->sysctls_count];
        j->sysctls[j->sysctls_count] = (struct sandbox_sysctl){xstrdup(from->name), xstrdup(from->value)};
    }
    j->resolv_conf = spec->resolv_conf == NULL ? NULL : xstrdup(spec->resolv_conf);
    job_run(j, make_work);
}

void sandbox_remove(struct sandbox_store *s, const char *uid, sandbox_done_cb *cb, void *data)
{
    assert(uid_is_safe(uid));
    struct sandbox_job *j = xcalloc(1, sizeof *j);
    j->store = s;
    snprintf(j->sb.uid, sizeof j->sb.uid, "%s", uid);
    j->done_cb = cb;
    j->data = data;
    job_run(j, remove_work);
}

int sandbox_set_ip(struct sandbox_store *s, struct sandbox *sb, const char *ip, const char *extra_hosts,
                   struct error *err)
{
    snprintf(sb->ip, sizeof sb->ip, "%s", ip);
    if (s->hollow) {
        return 0;
    }
    int rc = write_hosts(sb, extra_hosts, err);
    return rc != 0 ? rc : write_info(s, sb, err);
}

/* ---- A holder that was killed ---- */

struct renewal {
    const struct sandbox_store *store;
    struct sandbox *sb;
    int rc;
    struct error error;
};

static void *renew_thread(void *arg)
{
    struct renewal *r = arg;
    r->rc = hold_pid(r->store, r->sb, &r->error);
    return NULL;
}

int sandbox_renew(struct sandbox_store *s, struct sandbox *sb, bool *renewed, struct error *err)
{
    struct renewal r = {.store = s, .sb = sb};
    pthread_t t;
    *renewed = false;
    if (s->hollow || sb->pid[0] == '\0' || sandbox_pause_lives(sb->pause_pid, sb->pid)) {
        return 0;
    }
    sandbox_pause_end(sb->pause_pid, sb->pid); /* reaps it */
    int rc = pthread_create(&t, NULL, renew_thread, &r);
    if (rc != 0) {
        return error_set_errno(err, rc, "cannot start a thread");
    }
    pthread_join(t, NULL);
    *renewed = r.rc == 0;
    return r.rc != 0 ? error_set(err, r.rc, "%s", r.error.message) : write_info(s, sb, err);
}

/* ---- What is there ---- */

static bool read_info(struct sandbox_store *s, const char *uid, struct sandbox *out)
{
    char path[SANDBOX_PATH_MAX], line[512];
    int host_network, host_ipc, fqdn = 0, n = 0; /* fqdn, user_first, pause_pid: not in files of earlier agents */
    struct sandbox sb = {0};
    if (s->hollow || !uid_is_safe(uid)) {
        return false;
    }
    fs_path(path, sizeof path, "%s/%s/info", s->dir, uid);
    if (!fs_read_line(path, line, sizeof line) ||
        (n = sscanf(line, "%d %d %64s %63s %255s %d %u %d", &host_network, &host_ipc, sb.hostname, sb.ip, sb.domain,
                    &fqdn, &sb.user_first, &sb.pause_pid)) < 5) {
        return false;
    }
    if (n == 7) { /* before there were user namespaces */
        sb.pause_pid = (int)sb.user_first;
        sb.user_first = 0;
    }
    sb.host_network = host_network != 0;
    sb.host_ipc = host_ipc != 0;
    sb.fqdn = fqdn != 0;
    if (strcmp(sb.ip, "-") == 0) {
        sb.ip[0] = '\0';
    }
    if (strcmp(sb.domain, "-") == 0) {
        sb.domain[0] = '\0';
    }
    fill_paths(s, uid, &sb);
    *out = sb;
    return true;
}

uint32_t sandbox_user_first(struct sandbox_store *s, const char *uid)
{
    struct sandbox sb;
    return read_info(s, uid, &sb) ? sb.user_first : 0;
}

bool sandbox_find(struct sandbox_store *s, const char *uid, struct sandbox *out)
{
    struct sandbox sb;
    if (!read_info(s, uid, &sb) || !is_namespace(sb.net) || !is_namespace(sb.ipc) || !is_namespace(sb.uts) ||
        !is_namespace(sb.pid) || !is_namespace(sb.user) || !fs_exists(sb.hosts) ||
        (sb.pid[0] != '\0' && !sandbox_pause_lives(sb.pause_pid, sb.pid))) {
        return false;
    }
    *out = sb;
    return true;
}

bool sandbox_next(struct sandbox_store *s, unsigned *cursor, char uid[64])
{
    DIR *d = s->hollow ? NULL : opendir(s->dir);
    unsigned at = 0;
    bool found = false;
    for (struct dirent *e; d != NULL && !found && (e = readdir(d)) != NULL;) {
        if (uid_is_safe(e->d_name) && at++ == *cursor) {
            snprintf(uid, 64, "%.63s", e->d_name);
            (*cursor)++;
            found = true;
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

/* ---- The store ---- */

int sandbox_store_new(uv_loop_t *loop, const char *dir, const struct log *log, struct sandbox_store **out,
                      struct error *err)
{
    char options[64];
    bool there = fs_is_mount(dir);
    int rc = fs_make_private_dir(dir, err);
    snprintf(options, sizeof options, "mode=0700,size=%u", SANDBOX_STORE_MAX);
    if (rc == 0 && !there) {
        rc = fs_mount("sandboxes", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, err);
    } else if (rc == 0 && mount(NULL, dir, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0) {
        /* Of an earlier agent, and more than that lies in it. */
        log_warn(log, "sandbox", "cannot bound %s to %u bytes: %s", dir, SANDBOX_STORE_MAX, strerror(errno));
    }
    /* Namespace files cannot be bound into a shared mount that is propagated elsewhere. */
    rc = rc != 0 ? rc : fs_mount(NULL, dir, NULL, MS_PRIVATE, NULL, err);
    if (rc != 0) {
        return rc;
    }
    struct sandbox_store *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->log = log;
    s->dir = realpath(dir, NULL);
    s->running = 1; /* the owner */
    assert(s->dir != NULL && strlen(s->dir) < SANDBOX_PATH_MAX - 128);
    *out = s;
    return 0;
}

struct sandbox_store *sandbox_store_hollow_new(uv_loop_t *loop)
{
    struct sandbox_store *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->hollow = true;
    s->running = 1;
    return s;
}

static void store_release(struct sandbox_store *s)
{
    if (--s->running > 0) {
        return;
    }
    void (*cb)(void *data) = s->close_cb;
    void *data = s->close_data;
    free(s->dir);
    free(s);
    if (cb != NULL) {
        cb(data);
    }
}

static void close_deferred(void *data)
{
    store_release(data);
}

void sandbox_store_close(struct sandbox_store *s, void (*cb)(void *data), void *data)
{
    assert(!s->closing);
    s->closing = true;
    s->close_cb = cb;
    s->close_data = data;
    defer_call(s->loop, close_deferred, s);
}
