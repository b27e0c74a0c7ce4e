/* crun and conmon, with an image, a sandbox and a cgroup for one pod. Without root, crun or conmon there is no fixture,
 * and the tests are skipped. */
#ifndef TESTS_UNIT_AGENT_RUNTIME_CRUN_H
#define TESTS_UNIT_AGENT_RUNTIME_CRUN_H

#include "tests/unit/agent_runtime.h"

#include "agent/util/fsutil.h"
#include "tests/unit/agent_layout.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

/* crun wants no cgroup2 with controllers beside version 1 ones: in a mount namespace of its own it is taken away. Once
 * per process and before the pool has threads: they stay where they were made. */
static inline bool enter_private_mounts(void)
{
    if (geteuid() != 0 || access("/usr/bin/crun", X_OK) != 0 || access("/usr/bin/conmon", X_OK) != 0 ||
        unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return false;
    }
    umount2("/sys/fs/cgroup/unified", MNT_DETACH);
    return true;
}

static inline void on_sandbox(const struct sandbox *sb, const struct error *err, void *data)
{
    struct fixture *f = data;
    uv_stop(&f->loop);
    assert_null(err);
    f->sb = *sb;
    f->dones++;
}
static inline void on_loaded(const struct image_loaded *r, void *data)
{
    struct fixture *f = data;
    assert_null(r->error);
    uv_stop(&f->loop);
    f->dones++;
}

/* An image of links only: the node's /usr, mounted read-only, is its content. */
static inline void make_image(struct fixture *f)
{
    struct tar t;
    char layout[128];
    tar_begin(&t, false);
    tar_add(&t, "usr/", AE_IFDIR, NULL);
    tar_add(&t, "etc/", AE_IFDIR, NULL);
    tar_add(&t, "etc/passwd", AE_IFREG, "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n");
    tar_add(&t, "bin", AE_IFLNK, "usr/bin");
    tar_add(&t, "lib", AE_IFLNK, "usr/lib");
    tar_add(&t, "lib64", AE_IFLNK, "usr/lib64");
    tar_end(&t);
    snprintf(layout, sizeof layout, "%s/layout", f->dir);
    make_layout(layout, "links:1", &t, 1);
    image_load_path(f->images, layout, NULL, on_loaded, f);
    wait_for(f, &f->dones, 1);
    f->image = image_find(f->images, "links:1");
    assert_non_null(f->image);
}

/* NULL, 0: as usual. */
static const char *crun_of_test, *conmon_of_test;
static int64_t call_ms_of_test;
static const struct runtime_handler *handler_of_test;

static inline void open_crun(struct fixture *f)
{
    char dir[128];
    struct error err = {0};
    struct runtime_events ev = {.on_exit = on_exit_event, .data = f};
    char seccomp_dir[128];
    snprintf(dir, sizeof dir, "%s/rt", f->dir);
    snprintf(seccomp_dir, sizeof seccomp_dir, "%s/seccomp", f->dir);
    struct runtime_crun_config c = {.dir = dir,
                                    .run_dir = f->run,
                                    .images = f->images,
                                    .seccomp_dir = seccomp_dir,
                                    .crun_path = crun_of_test,
                                    .handlers = handler_of_test,
                                    .handlers_count = handler_of_test != NULL,
                                    .conmon_path = conmon_of_test,
                                    .call_ms = call_ms_of_test};
    if (runtime_crun_new(&f->loop, &c, &ev, &f->rt, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static bool have_crun; /* set by main */

static inline int crun_setup(void **state)
{
    struct error err = {0};
    char path[128];
    if (!have_crun) {
        *state = NULL;
        return 0;
    }
    struct fixture *f = fixture_new();
    *state = f;
    signal(SIGPIPE, SIG_IGN);
    strcpy(f->dir, "/tmp/reeve-runtime-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->run, sizeof f->run, "/run/reeve-test-%d", (int)getpid());
    snprintf(f->log, sizeof f->log, "%s/logs/c/0.log", f->dir);
    snprintf(path, sizeof path, "%s/images", f->dir);
    assert_int_equal(image_store_new(&f->loop, path, NULL, &f->images, &err), 0);
    make_image(f);
    snprintf(path, sizeof path, "%s/sandboxes", f->dir);
    assert_int_equal(sandbox_store_new(&f->loop, path, NULL, &f->sandboxes, &err), 0);
    sandbox_make(f->sandboxes, &(struct sandbox_spec){.uid = POD, .hostname = "testpod"}, on_sandbox, f);
    wait_for(f, &f->dones, 2);
    snprintf(path, sizeof path, "reeve-test-%d", (int)getpid());
    if (cgroup_new(&f->loop, NULL, path, NULL, &f->cgroup, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(cgroup_pod_make(f->cgroup, POD, NULL, f->cgroup_path, &err), 0);
    open_crun(f);
    f->dones = 0;
    return 0;
}

static inline int crun_teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[256];
    if (f == NULL) {
        return 0;
    }
    unsigned cursor = 0;
    struct runtime_status st;
    while (runtime_next(f->rt, &cursor, &st)) {
        snprintf(f->id, sizeof f->id, "%s", st.id);
        remove_it(f);
        cursor = 0;
    }
    close_runtime(f);
    /* A test that failed may have left sandboxes of its own, with processes that hold their namespaces. */
    unsigned left = 0;
    char uid[64];
    while (sandbox_next(f->sandboxes, &left, uid)) {
        f->dones = 0;
        sandbox_remove(f->sandboxes, uid, on_done, f);
        wait_for(f, &f->dones, 1);
        assert_int_equal(f->done_error, 0);
        left = 0;
    }
    f->dones = 0;
    cgroup_pod_remove(f->cgroup, POD, on_done, f);
    wait_for(f, &f->dones, 1);
    assert_int_equal(f->done_error, 0);
    image_unref(f->image);
    image_store_close(f->images, NULL, NULL);
    sandbox_store_close(f->sandboxes, NULL, NULL);
    cgroup_close(f->cgroup, NULL, NULL);
    fixture_close(f);
    fs_unmount_below(f->dir, NULL);
    fs_remove_tree(f->dir, NULL);
    fs_unmount_below(f->run, NULL);
    fs_remove_tree(f->run, NULL);
    snprintf(cmd, sizeof cmd, "rmdir /sys/fs/cgroup/reeve-test-%d /sys/fs/cgroup/*/reeve-test-%d 2>/dev/null",
             (int)getpid(), (int)getpid());
    if (system(cmd) != 0) {
        /* the shell's word on patterns that match nothing */
    }
    free(f);
    return 0;
}
#define NEED_CRUN(f)                                                                                                   \
    if ((f) == NULL)                                                                                                   \
    skip()

static const struct runtime_mount usr = {.source = "/usr", .target = "/usr", .read_only = true};

static const char *const sleeper[] = {"sleep", "60", NULL};

static inline void crun_spec(struct fixture *f, struct runtime_spec *s)
{
    base_spec(f, s);
    s->sandbox = &f->sb;
    s->cgroup_parent = f->cgroup_path;
    s->mounts = &usr;
    s->mounts_count = 1;
}

static inline char *read_log(struct fixture *f)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(f->log, 1 << 20, &b, NULL), 0);
    return xstrdup(buf_cstr(&b));
}

#endif
