/* The way up: directory, overlay, config.json; conmon, which runs `crun create` and says over a pipe how that went; the
 * start.
 *
 *   prepare (blocking, a few ms) -> CREATING: conmon daemonises, its pipe says {"data": PID} or {"data": -1, "message":
 *   ...}
 *           -> STARTING: started as `crun start` does it -> RUNNING
 * Any failure, also a removal asked for meanwhile, ends in crun_begin_removal; the caller is told when nothing is
 * left. */
#include "agent/runtime/crun_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/cgroup.h"
#include "agent/runtime/oci.h"
#include "agent/runtime/seccomp.h"
#include "agent/util/defer.h"
#include "agent/util/userns.h"
#include "base/env.h"
#include "base/failpoint.h"
#include "proto/text/text.h"

#define PASSWD_MAX        (1u << 20)
#define MOUNT_OPTIONS_MAX 4000u /* the kernel takes one page */
#define CONMON_SYNC_MAX   (16u << 10)

struct crun_start {
    struct crun *rt;
    struct crun_container *c; /* NULL before prepare and after a failed one */
    char id[RUNTIME_ID_MAX];
    struct buf config;
    struct buf profile; /* that crun has to translate; empty: none */
    bool pipe_open, conmon_exited, answered;
    uv_pipe_t sync;
    uv_timer_t timer;
    unsigned open_handles;
    struct buf line;
    int rc;
    const char *reason;
    struct error error;
    runtime_start_cb *cb;
    void *data;
};

/* ---- Prepare ---- */

/* Of a pod with numbers of its own (userns.h): the layers once more, with the owners that the pod sees. layers receives
 * where. They are needed until the overlay is mounted, which keeps what it has. */
static int shift_layers(const struct crun_container *c, const struct image *im, const char *user_namespace,
                        struct arena *a, const char **layers, struct error *err)
{
    CLEANUP_CLOSE int fd = open(user_namespace, O_RDONLY | O_CLOEXEC);
    int rc = fd >= 0 ? 0 : error_set_errno(err, errno, "cannot open the pod's user namespace %s", user_namespace);
    for (unsigned i = 0; rc == 0 && i < im->layers_count; i++) {
        layers[i] = arena_printf(a, "%s/lower/%u", c->dir, i);
        rc = fs_make_dirs(layers[i], 0700, err);
        rc = rc != 0 ? rc : userns_mount(fd, im->layers[i], layers[i], false, err);
    }
    return rc;
}

/* Lower layers, uppermost first. Many long paths do not fit into the kernel's page: then each is named by an open
 * descriptor. */
static int mount_overlay(const struct crun_container *c, const struct image *im, const char *const *layers,
                         struct error *err)
{
    char rootfs[FS_PATH_MAX];
    CLEANUP_BUF struct buf options = BUF_INIT;
    int fds[IMAGE_LAYERS_MAX];
    unsigned fds_count = 0;
    fs_path(rootfs, sizeof rootfs, "%s/rootfs", c->dir);
    for (unsigned pass = 0; pass < 2; pass++) {
        buf_reset(&options);
        buf_puts(&options, "lowerdir=");
        for (unsigned i = im->layers_count; i-- > 0;) {
            const char *colon = i > 0 ? ":" : "";
            if (pass == 0) {
                buf_printf(&options, "%s%s", layers[i], colon);
            } else if (fds_count < IMAGE_LAYERS_MAX) {
                int fd = open(layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
                fds[fds_count++] = fd;
                buf_printf(&options, "/proc/self/fd/%d%s", fd, colon);
            }
        }
        if (im->layers_count == 0) {
            buf_printf(&options, "%s/persist", c->dir); /* an image without layers: anything empty will do */
        }
        buf_printf(&options, ",upperdir=%s/upper,workdir=%s/work", c->dir, c->dir);
        if (options.size < MOUNT_OPTIONS_MAX) {
            break;
        }
    }
    /* nodev: for whoever is on the node. Inside, crun mounts it anew without; there the control group of devices
     * decides. volatile: the upper layer does not outlive the container, so nobody needs it synced. Older kernels do
     * not know it. */
    size_t plain = options.size;
    buf_puts(&options, ",volatile");
    int rc = mount("overlay", rootfs, "overlay", MS_NODEV, buf_cstr(&options));
    if (rc != 0 && errno == EINVAL) {
        options.size = plain;
        rc = mount("overlay", rootfs, "overlay", MS_NODEV, buf_cstr(&options));
    }
    int e = errno;
    while (fds_count > 0) {
        close(fds[--fds_count]);
    }
    return rc == 0 ? 0 : error_set_errno(err, e, "cannot mount the root file system (overlay) of container %s", c->id);
}

static int mount_rootfs(const struct crun_container *c, const struct runtime_spec *spec, struct error *err)
{
    const struct image *im = spec->image;
    const char *user = spec->sandbox == NULL ? "" : spec->sandbox->user;
    char lower[FS_PATH_MAX];
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (user[0] == '\0') {
        return mount_overlay(c, im, (const char *const *)im->layers, err);
    }
    const char **layers = arena_alloc(&a, (im->layers_count + 1) * sizeof *layers);
    int rc = shift_layers(c, im, user, &a, layers, err);
    rc = rc != 0 ? rc : mount_overlay(c, im, layers, err);
    fs_path(lower, sizeof lower, "%s/lower", c->dir);
    int gone = fs_unmount_below(lower, rc == 0 ? err : NULL);
    return rc != 0 ? rc : gone;
}

/* What an image has there: nothing (which is fine), a small file, or a reason not to start the container. */
static int read_of_image(int root_fd, const char *path, struct buf *out, struct error *err)
{
    struct error why = {0};
    int rc = fs_read_in_root(root_fd, path, PASSWD_MAX, out, &why);
    return rc == 0 || rc == ERR_NOT_FOUND ? 0 : error_set(err, ERR_INVALID, "the image's %s", why.message);
}

static int check_numbers(const struct oci_user *user, struct error *err)
{
    uint32_t most = MAX(user->uid, user->gid);
    for (unsigned i = 0; i < user->groups_count; i++) {
        most = MAX(most, user->groups[i]);
    }
    return most < USERNS_IDS ? 0
                             : error_set(err, ERR_INVALID,
                                         "user or group %u is none of a pod with hostUsers false, which has 0 to %u",
                                         most, USERNS_IDS - 1);
}

/* Who runs it; the working directory is made if the image has it not. */
static int look_into_rootfs(const struct crun_container *c, const struct runtime_spec *spec, struct oci_user *user,
                            struct error *err)
{
    char rootfs[FS_PATH_MAX];
    CLEANUP_BUF struct buf passwd = BUF_INIT;
    CLEANUP_BUF struct buf group = BUF_INIT;
    fs_path(rootfs, sizeof rootfs, "%s/rootfs", c->dir);
    CLEANUP_CLOSE int root_fd = open(rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", rootfs);
    }
    int rc = read_of_image(root_fd, "/etc/passwd", &passwd, err);
    rc = rc != 0 ? rc : read_of_image(root_fd, "/etc/group", &group, err);
    if (rc != 0) {
        return rc;
    }
    const char *cwd = spec->cwd != NULL && spec->cwd[0] != '\0' ? spec->cwd : spec->image->cwd;
    uint32_t first = spec->sandbox == NULL ? 0 : spec->sandbox->user_first;
    /* What is made belongs to the pod's root. This is the calling thread's; the way there is by the descriptor. */
    int old_gid = setfsgid(first), old_uid = setfsuid(first);
    CLEANUP_CLOSE int dir = cwd[0] == '/' ? fs_make_dirs_in_root(root_fd, cwd, 0755) : -1;
    setfsuid((uid_t)old_uid);
    setfsgid((gid_t)old_gid);
    rc = oci_user_resolve(spec->image->user, buf_str(&passwd), buf_str(&group), &spec->security, user, err);
    return rc != 0 || first == 0 ? rc : check_numbers(user, err);
}

/* The bundle is on a disk, the configuration must not be. */
static int write_config(const struct crun_container *c, struct str config, struct error *err)
{
    char path[FS_PATH_MAX], link[FS_PATH_MAX];
    crun_config_path(c, path);
    fs_path(link, sizeof link, "%s/config.json", c->dir);
    int rc = fs_write_file(path, config, 0600, false, err);
    return rc != 0 || symlink(path, link) == 0 ? rc : error_set_errno(err, errno, "cannot make the link %s", link);
}

/* crun goes to the root file system as the pod's root, for whom all directories on the way are opened as far as need
 * be; what lies beside them is not. */
static int open_way(const struct crun_container *c, uint32_t first, struct error *err)
{
    static const struct {
        const char *name;
        mode_t mode;
    } own[] = {{"upper", 0755}, {CRUN_MESSAGE, 0666}};
    const char *dirs[] = {c->rt->dir, NULL, NULL};
    char containers[FS_PATH_MAX], above[FS_PATH_MAX], path[FS_PATH_MAX];
    fs_path(containers, sizeof containers, "%s/containers", c->rt->dir);
    fs_path(above, sizeof above, "%.*s", (int)(strrchr(c->rt->dir, '/') - c->rt->dir), c->rt->dir);
    dirs[1] = containers;
    dirs[2] = above; /* the agent's own */
    for (unsigned i = 0; i < ARRAY_SIZE(dirs); i++) {
        struct stat st;
        if (stat(dirs[i], &st) != 0 || chmod(dirs[i], (st.st_mode & 07777) | 0111) != 0) {
            return error_set_errno(err, errno, "cannot open the way through %s", dirs[i]);
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
        fs_path(path, sizeof path, "%s/%s", c->dir, own[i].name);
        if (chown(path, first, first) != 0 || chmod(path, own[i].mode) != 0) {
            return error_set_errno(err, errno, "cannot give %s to the pod's root", path);
        }
    }
    return chown(c->dir, 0, first) == 0 && chmod(c->dir, 0710) == 0
               ? 0
               : error_set_errno(err, errno, "cannot open the way through %s", c->dir);
}

/* A container may write into it without end: in memory that is its own, and little. */
static int make_message(const struct crun_container *c, struct error *err)
{
    char path[FS_PATH_MAX], options[64];
    fs_path(path, sizeof path, "%s/message", c->dir);
    snprintf(options, sizeof options, "mode=0711,size=%u,nr_inodes=4", CRUN_MESSAGE_MAX);
    int rc = fs_make_dirs(path, 0711, err);
    rc = rc != 0 ? rc : fs_mount("message", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options, err);
    fs_path(path, sizeof path, "%s/" CRUN_MESSAGE, c->dir);
    return rc != 0 ? rc : fs_write_file(path, STR_NONE, 0666, false, err);
}

static int make_files(const struct crun_container *c, uint32_t first, struct error *err)
{
    static const char *const parts[] = {"rootfs", "upper", "work", "persist"};
    char path[FS_PATH_MAX];
    int rc = fs_remove_mounted(c->dir, NULL, 0, err); /* of a start that was broken off, with what it had mounted */
    rc = rc != 0 ? rc : fs_make_private_dir(c->dir, err);
    for (unsigned i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++) {
        fs_path(path, sizeof path, "%s/%s", c->dir, parts[i]);
        rc = fs_make_dirs(path, 0755, err);
    }
    if (rc == 0) {
        rc = make_message(c, err);
    }
    fs_path(path, sizeof path, "%s/exits/%s", c->rt->dir, c->id);
    unlink(path);
    rc = rc != 0 || first == 0 ? rc : open_way(c, first, err);
    return rc != 0 ? rc : fs_make_parent(c->log_path, 0700, err);
}

/* Names of profiles come from pods: they lead to files below the directory, whatever links and dots they hold. */
static int read_profile(const struct crun *rt, const char *name, struct buf *out, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    const char *dir = rt->seccomp_dir;
    arena_init(&a);
    CLEANUP_CLOSE int dir_fd = dir == NULL ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct error why = {0};
    int rc = dir_fd < 0 ? error_set(&why, ERR_NOT_FOUND, "the node has no directory of profiles")
                        : fs_read_in_root(dir_fd, name, SECCOMP_PROFILE_MAX, out, &why);
    if (rc == 0 && seccomp_profile(&a, buf_str(out), NULL, 0, &why) == NULL) {
        rc = ERR_INVALID;
    }
    return rc == 0 ? 0
                   : error_set(err, rc, "cannot load seccomp profile \"%s\" of the node (%s/%s): %s", name,
                               dir == NULL ? "" : dir, name, why.message);
}

static int prepare(struct crun_start *s, const struct runtime_spec *spec, struct error *err)
{
    struct crun_container *c = s->c;
    char rootfs[FS_PATH_MAX], cgroup[FS_PATH_MAX], termination[FS_PATH_MAX];
    struct oci_user user;
    const struct runtime_security *security = &spec->security;
    bool filtered = !security->privileged && !security->seccomp_unconfined;
    CLEANUP_BUF struct buf own_profile = BUF_INIT;
    CLEANUP_FREE const char **args = oci_args(spec);
    s->reason = "CreateContainerError";
    if (args[0] == NULL) {
        return error_set(err, ERR_INVALID, "no command specified: neither the container nor its image names one");
    }
    int rc = oci_check_capabilities(security, err);
    rc = rc != 0 ? rc
         : filtered && security->seccomp_localhost != NULL
             ? read_profile(c->rt, security->seccomp_localhost, &own_profile, err)
             : 0;
    rc = rc != 0 ? rc : make_files(c, spec->sandbox == NULL ? 0 : spec->sandbox->user_first, err);
    rc = rc != 0 ? rc : crun_write_state(c, err);
    rc = rc != 0 ? rc : mount_rootfs(c, spec, err);
    failpoint(FAILPOINT_container_after_mount);
    if (rc != 0) {
        return rc;
    }
    s->reason = "CreateContainerConfigError";
    rc = look_into_rootfs(c, spec, &user, err);
    if (rc != 0) {
        return rc;
    }
    fs_path(rootfs, sizeof rootfs, "%s/rootfs", c->dir);
    fs_path(cgroup, sizeof cgroup, "%s", c->cgroup_path);
    fs_path(termination, sizeof termination, "%s/" CRUN_MESSAGE, c->dir);
    struct oci_input in = {.spec = spec,
                           .args = args,
                           .user = &user,
                           .rootfs = rootfs,
                           .cgroups_path = cgroup,
                           .termination_log = termination,
                           .cgroup_v2 = c->rt->cgroup_v2,
                           .seccomp = filtered,
                           .seccomp_profile = buf_str(&own_profile),
                           .filters = c->rt->filters,
                           .profile_used = &s->profile};
    buf_reset(&s->profile);
    buf_reset(&s->config);
    rc = oci_config_write(&in, &s->config, err);
    return rc != 0 ? rc : write_config(c, buf_str(&s->config), err);
}

/* ---- The end of a start ---- */

static void start_free(struct crun_start *s)
{
    struct crun *rt = s->rt;
    buf_close(&s->config);
    buf_close(&s->profile);
    buf_close(&s->line);
    free(s);
    crun_release(rt);
}

static void start_handle_closed(uv_handle_t *h)
{
    struct crun_start *s = h->data;
    if (--s->open_handles == 0 && s->answered) {
        start_free(s);
    }
}

static void close_handles(struct crun_start *s)
{
    if (s->pipe_open) {
        s->pipe_open = false;
        uv_close((uv_handle_t *)&s->sync, start_handle_closed);
        uv_close((uv_handle_t *)&s->timer, start_handle_closed);
    }
}

static void answered(struct crun_start *s)
{
    s->answered = true;
    if (s->open_handles == 0) {
        start_free(s);
    }
}

/* Everything is cleaned up. */
static void tell_failure(const struct error *error, void *data)
{
    struct crun_start *s = data;
    struct runtime_started r = {.error = &s->error, .reason = s->reason};
    (void)error;
    s->cb(&r, s->data);
    answered(s);
}

static void start_failed(struct crun_start *s, int rc)
{
    assert(rc != 0 && s->c != NULL && s->error.code != 0);
    s->rc = rc;
    close_handles(s);
    struct crun_done *d = xcalloc(1, sizeof *d);
    d->cb = tell_failure;
    d->data = s;
    list_push_front(&s->c->removers, &d->link);
    crun_begin_removal(s->c);
}

/* What crun has made of the profile lies in its state of the container. */
static void learn_filter(struct crun_start *s)
{
    char path[FS_PATH_MAX];
    CLEANUP_BUF struct buf program = BUF_INIT;
    fs_path(path, sizeof path, "%s/%s/seccomp.bpf", s->rt->run_dir, s->c->id);
    if (s->profile.size > 0 && !crun_is_foreign(s->c) && fs_read_file(path, FILTERS_PROGRAM_MAX, &program, NULL) == 0) {
        filters_keep(s->rt->filters, buf_str(&s->profile), buf_str(&program));
    }
}

static void start_succeeded(struct crun_start *s)
{
    struct crun_container *c = s->c;
    struct crun *rt = s->rt;
    struct runtime_status st;
    char id[RUNTIME_ID_MAX];
    close_handles(s);
    learn_filter(s);
    chmod(c->dir, 0700); /* who runs is through */
    c->state = RUNTIME_RUNNING;
    c->started_ms = env_wall_ms(env_real());
    if (crun_write_state(c, &s->error) != 0) {
        log_warn(rt->log, "runtime", "container %s: %s", c->id, s->error.message);
    }
    if (!rt->closing) {
        crun_watch(c);
        crun_log_timer(rt);
    }
    crun_fill_status(c, &st);
    struct runtime_started r = {.reason = "", .status = &st};
    strcpy(id, c->id);
    s->cb(&r, s->data);
    /* The callback may have done anything with the container. */
    c = crun_find(rt, id);
    if (c != NULL && !rt->closing && !c->removing) {
        crun_check_exit(c);
    }
    answered(s);
}

/* ---- crun start: a script that stands for crun may want to see it ---- */

static void start_ended(struct crun_start *s, int rc)
{
    failpoint(FAILPOINT_container_after_start);
    s->reason = "RunContainerError";
    if (rc == 0 && !list_empty(&s->c->removers)) {
        rc = error_set(&s->error, ERR_CANCELED, "the container is being deleted");
    }
    if (rc != 0) {
        start_failed(s, rc);
    } else {
        start_succeeded(s);
    }
}

static void started(struct process *p, const struct process_result *r, void *data)
{
    struct crun_start *s = data;
    (void)p;
    start_ended(s, process_result_error(r, "failed to start the container", &s->error));
}

/* What `crun start` does, where there are no hooks: the container's process waits for a byte in a pipe that it has
 * opened. Written first and unlinked then: an agent that ends in between takes it for one that was never started
 * (invariant 1), and not one that waits for ever for one that runs. */
static int start_by_hand(const struct crun_container *c, struct error *err)
{
    static const char byte;
    char path[FS_PATH_MAX];
    struct stat st;
    fs_path(path, sizeof path, "%s/%s/exec.fifo", c->rt->run_dir, c->id);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENXIO) {
        return error_set(err, ERR_SYSTEM, "failed to start the container: its process has ended");
    }
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode) || write(fd, &byte, 1) != 1 || unlink(path) != 0) {
        return error_set_errno(err, errno, "failed to start the container: cannot write to %s", path);
    }
    return 0;
}

static void run_start(struct crun_start *s)
{
    struct crun *rt = s->rt;
    if (crun_is_known(s->c)) {
        start_ended(s, start_by_hand(s->c, &s->error));
        return;
    }
    process_run(rt->loop, &(struct process_spec){.argv = CRUN_ARGV(s->c, "start", s->c->id), .timeout_ms = rt->call_ms},
                started, s);
}

/* ---- conmon ---- */

/* What a container logs costs more to write than to say, so it is its pod's time: a pod that may have a tenth of a
 * processor would otherwise keep a whole one busy with empty lines. */
static void charge_conmon(const struct crun_container *c)
{
    struct error err = {0};
    int pid = crun_conmon_pid(c);
    if (pid != 0 && cgroup_charge_pod(c->cgroup_path, pid, &err) != 0) {
        log_warn(c->rt->log, "runtime", "container %s: its log is written on the node's time: %s", c->id, err.message);
    }
}

/* Both ends of the conversation: conmon has gone to the background, and its pipe has spoken (line) or closed. */
static void creation_known(struct crun_start *s)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    struct crun_container *c = s->c;
    arena_init(&a);
    close_handles(s);
    crun_drop_config(c);
    s->reason = "RunContainerError";
    if (s->rc == 0 && json_read(&a, buf_str(&s->line), &doc, NULL) != 0) {
        s->rc = error_set(&s->error, ERR_SYSTEM, "failed to create the container: conmon said nothing");
    }
    if (s->rc == 0) {
        struct str message = value_to_str(value_get(doc, "message"));
        c->pid = (int)value_to_int(value_get(doc, "data"), -1);
        if (c->pid <= 0) {
            while (message.n > 0 && message.p[message.n - 1] == '\n') {
                message.n--;
            }
            c->pid = 0;
            s->rc = error_set(&s->error, ERR_SYSTEM, "failed to create the container: %.*s", STR_ARG(message));
        } else if (!process_started(c->pid, &c->pid_started)) {
            s->rc = error_set(&s->error, ERR_SYSTEM, "failed to create the container: its process ended at once");
        }
    }
    if (s->rc == 0 && !list_empty(&c->removers)) {
        s->rc = error_set(&s->error, ERR_CANCELED, "the container is being deleted");
    }
    if (s->rc != 0) {
        start_failed(s, s->rc);
    } else {
        charge_conmon(c);
        failpoint(FAILPOINT_container_before_start);
        run_start(s);
    }
}

static void sync_over(struct crun_start *s)
{
    uv_read_stop((uv_stream_t *)&s->sync);
    uv_timer_stop(&s->timer);
    if (s->pipe_open && s->conmon_exited) {
        creation_known(s);
    }
}

static void sync_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
    struct crun_start *s = h->data;
    (void)suggested;
    *out = uv_buf_init((char *)buf_reserve(&s->line, 4096), 4096);
}

static bool sync_is_over(const struct crun_start *s)
{
    return !uv_is_active((const uv_handle_t *)&s->sync);
}

static void sync_read(uv_stream_t *h, ssize_t n, const uv_buf_t *unused)
{
    struct crun_start *s = h->data;
    (void)unused;
    if (n > 0) {
        s->line.size += (size_t)n;
    }
    if (n < 0 || s->line.size > CONMON_SYNC_MAX ||
        (s->line.size > 0 && memchr(s->line.data, '\n', s->line.size) != NULL)) {
        sync_over(s);
    }
}

static void sync_timeout(uv_timer_t *t)
{
    struct crun_start *s = t->data;
    s->rc = error_set(&s->error, ERR_TIMEOUT, "the container was not created within %lld s",
                      (long long)s->rt->call_ms / 1000);
    sync_over(s);
}

static void conmon_exited(struct process *p, const struct process_result *r, void *data)
{
    struct crun_start *s = data;
    (void)p;
    s->conmon_exited = true;
    int rc = process_result_error(r, "failed to create the container: conmon", &s->error);
    if (rc != 0) {
        s->rc = rc; /* it speaks no more */
        sync_over(s);
    } else if (sync_is_over(s)) {
        creation_known(s);
    }
}

static int open_sync(struct crun_start *s, int *theirs)
{
    int fds[2];
    int rc = uv_pipe(fds, UV_NONBLOCK_PIPE, 0);
    if (rc != 0) {
        return rc;
    }
    uv_pipe_init(s->rt->loop, &s->sync, 0);
    uv_timer_init(s->rt->loop, &s->timer);
    s->sync.data = s->timer.data = s;
    s->open_handles = 2;
    s->pipe_open = true;
    uv_pipe_open(&s->sync, fds[0]);
    uv_read_start((uv_stream_t *)&s->sync, sync_alloc, sync_read);
    uv_timer_start(&s->timer, sync_timeout, (uint64_t)s->rt->call_ms, 0);
    *theirs = fds[1];
    return 0;
}

static void run_conmon(struct crun_start *s, const struct runtime_spec *spec)
{
    struct crun *rt = s->rt;
    struct crun_container *c = s->c;
    CLEANUP_ARENA struct arena a;
    CLEANUP_CLOSE int sync = -1;
    arena_init(&a);
    const char *argv[40];
    unsigned n = 0;
    const char *fixed[] = {
        rt->conmon_path, "--api-version", "1", "-c", c->id, "-u", c->id, "-n", c->id, "-r",
        sealed_program(crun_program(c)), arena_printf(&a, "--runtime-arg=--root=%s", rt->run_dir), "-b", c->dir, "-p",
        arena_printf(&a, "%s/pid", c->dir), "--conmon-pidfile", arena_printf(&a, "%s/conmon.pid", c->dir), "--exit-dir",
        arena_printf(&a, "%s/exits", rt->dir), "--persist-dir", arena_printf(&a, "%s/persist", c->dir), "-l",
        arena_printf(&a, "k8s-file:%s", c->log_path),
        /* What is written between two looks at the size (logs_check) is bounded, too: conmon begins anew. */
        "--log-size-max", arena_printf(&a, "%llu", 2ull * rt->log_max_bytes), "--full-attach", "--no-sync-log"};
    for (; n < ARRAY_SIZE(fixed); n++) {
        argv[n] = fixed[n];
    }
    if (spec->tty) {
        argv[n++] = "-t";
    }
    if (spec->stdin_open) {
        argv[n++] = "-i";
        if (!spec->stdin_once) {
            argv[n++] = "--leave-stdin-open";
        }
    }
    argv[n] = NULL;
    assert(n < ARRAY_SIZE(argv));
    const char *path = getenv("PATH");
    const char *env[] = {"_OCI_SYNCPIPE=3",
                         arena_printf(&a, "PATH=%s", path != NULL ? path : "/usr/sbin:/usr/bin:/sbin:/bin"), NULL};
    int rc = open_sync(s, &sync);
    if (rc != 0) {
        start_failed(s, error_set_errno(&s->error, -rc, "cannot make a pipe"));
        return;
    }
    /* conmon leaves its note of an OOM kill in the directory it is run in, too. */
    struct process_spec ps = {.argv = argv, .env = env, .cwd = c->dir, .extra_fd = sync, .timeout_ms = rt->call_ms};
    process_run(rt->loop, &ps, conmon_exited, s);
}

/* ---- Begin ---- */

static void refuse_deferred(void *data)
{
    tell_failure(NULL, data);
}

static void refuse(struct crun_start *s)
{
    defer_call(s->rt->loop, refuse_deferred, s);
}

static struct crun_container *container_from_spec(struct crun *rt, const char *id, const struct runtime_spec *spec)
{
    struct crun_container *c = crun_container_new(rt, id);
    c->state = RUNTIME_STARTING;
    c->pod_uid = xstrdup(spec->pod_uid);
    c->name = xstrdup(spec->name);
    c->attempt = spec->attempt;
    c->handler = xstrdup(spec->handler == NULL ? "" : spec->handler);
    c->image_ref = xstrdup(spec->image->id);
    c->image = image_ref(spec->image);
    c->note = xstrdup(spec->note == NULL ? "" : spec->note);
    c->log_path = xstrdup(spec->log_path);
    c->cgroup_path = xasprintf("%s/%s", spec->cgroup_parent == NULL ? "" : spec->cgroup_parent, id);
    c->created_ms = env_wall_ms(env_real());
    return c;
}

void crun_create_start(struct runtime *base, const struct runtime_spec *spec, runtime_start_cb *cb, void *data)
{
    struct crun *rt = (struct crun *)base;
    assert(!rt->closing && spec->image != NULL && spec->log_path != NULL && spec->name != NULL &&
           spec->pod_uid != NULL);
    struct crun_start *s = xcalloc(1, sizeof *s);
    s->rt = rt;
    s->cb = cb;
    s->data = data;
    s->reason = "CreateContainerError";
    crun_hold(rt);
    runtime_container_id(s->id, spec->pod_uid, spec->name, spec->attempt);
    struct crun_container *there = crun_find(rt, s->id);
    if (there != NULL) {
        /* Also while an old one is being removed: the caller tries again, as after any failure to create. */
        error_set(&s->error, there->removing ? ERR_BUSY : ERR_EXISTS, "container %s %s", s->id,
                  there->removing ? "is still being deleted" : "exists already");
        refuse(s);
        return;
    }
    s->c = container_from_spec(rt, s->id, spec);
    int rc = crun_program(s->c) != NULL
                 ? prepare(s, spec, &s->error)
                 : error_set(&s->error, ERR_UNSUPPORTED, "no runtime for \"%s\" is configured", s->c->handler);
    if (rc != 0) {
        start_failed(s, rc);
        return;
    }
    run_conmon(s, spec);
}
