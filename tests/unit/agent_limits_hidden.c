/* A container hides bytes on the node's disk: files that it deletes and keeps open, in its own file system and in an
 * emptyDir, or that it has only mapped. */
#include "tests/unit/agent_limits_attack.h"

#include "agent/pod/evict.h"
#include "agent/pod/evict_open.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MI (1u << 20)

/* ---- Inside ---- */

static int hide(const char *path, unsigned mi)
{
    static char bytes[MI];
    memset(bytes, 7, sizeof bytes);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (unsigned i = 0; i < mi; i++) {
        assert(write(fd, bytes, sizeof bytes) == sizeof bytes);
    }
    assert(fsync(fd) == 0 && unlink(path) == 0);
    return fd;
}

static int attack(void)
{
    int a = hide("/file", 8), b = hide("/data/sub", 4), c = hide("/mapped", 2), d = hide("/dev/shm/memory", 1);
    assert(dup(a) >= 0); /* the same once more */
    void *p = mmap(NULL, 2 * MI, PROT_READ, MAP_SHARED, c, 0);
    assert(p != MAP_FAILED && close(c) == 0 && b >= 0 && d >= 0);
    if (fork() >= 0) { /* and in another process */
        tell("hidden", 0);
        pause();
    }
    return 1;
}

/* ---- The node's side ---- */

static struct {
    uint64_t file, data, mapped, other;
} hidden;

static void on_found(const char *path, uint64_t bytes, void *data)
{
    (void)data;
    uint64_t *to = strcmp(path, "/file") == 0       ? &hidden.file
                   : strcmp(path, "/data/sub") == 0 ? &hidden.data
                   : strcmp(path, "/mapped") == 0   ? &hidden.mapped
                                                    : &hidden.other;
    *to += bytes;
}

static unsigned measure(struct fixture *f, unsigned left)
{
    char group[CGROUP_PATH_MAX], procs[CGROUP_PATH_MAX * 2];
    struct stat st;
    fs_path(group, sizeof group, "%s/%s", f->cgroup_path, f->id);
    cgroup_procs_file(f->cgroup, group, procs);
    assert_true(fs_exists(procs));
    assert_int_equal(stat(f->dir, &st), 0);
    memset(&hidden, 0, sizeof hidden);
    struct evict_open o = {.disk = st.st_dev, .left = left, .found = on_found};
    evict_open_measure(&o, procs);
    evict_open_close(&o);
    return left - o.left;
}

static void bytes_that_no_directory_holds_are_found(void **state)
{
    struct fixture *f = *state;
    NEED_CRUN(f);
    struct runtime_spec s;
    struct runtime_mount mounts[3];
    struct runtime_status st;
    char data[128], program[128];
    static const char *const env[] = {"ASAN_OPTIONS=detect_leaks=0", NULL};
    snprintf(data, sizeof data, "%s/data", f->dir);
    assert_int_equal(mkdir(data, 0777), 0);
    attack_spec(f, &s, mounts, 1);
    mounts[0] = (struct runtime_mount){.source = data, .target = "/data", .no_device = true};
    s.env = env;
    snprintf(program, sizeof program, "/attack/%s", self_name);
    const char *cmd[] = {program, "attack", NULL};
    start(f, &s, cmd);
    assert_string_equal(f->start_message, "");
    f->limit_hit = false;
    uv_timer_start(&f->limit, on_limit, 60000, 0);
    for (bool ready = false; !ready;) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        assert_false(f->limit_hit);
        uv_run(&f->loop, UV_RUN_NOWAIT);
        ready = fs_read_file(f->log, 1 << 20, &b, NULL) == 0 && strstr(buf_cstr(&b), "hidden=ok") != NULL;
    }
    uv_timer_stop(&f->limit);
    assert_true(runtime_get(f->rt, f->id, &st));
    uint64_t seen = evict_measure(st.writable_path) + evict_measure(data);
    assert_true(seen < MI); /* as before: nothing of it */
    unsigned looks = measure(f, EVICT_OPEN_MAX);
    print_message("%llu KiB in directories; deleted and open: %llu, %llu and %llu MiB (%u looks)\n",
                  (unsigned long long)seen >> 10, (unsigned long long)hidden.file / MI,
                  (unsigned long long)hidden.data / MI, (unsigned long long)hidden.mapped / MI, looks);
    assert_in_range(hidden.file, 8 * MI, 8 * MI + (64 << 10));
    assert_in_range(hidden.data, 4 * MI, 4 * MI + (64 << 10));
    assert_in_range(hidden.mapped, 2 * MI, 2 * MI + (64 << 10));
    assert_int_equal(hidden.other, 0);  /* memory is counted as memory */
    assert_int_equal(measure(f, 3), 3); /* never more than that */
    remove_it(f);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "attack") == 0) {
        return attack();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_that_no_directory_holds_are_found, crun_setup, crun_teardown),
    };
    attack_init();
    have_crun = enter_private_mounts();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
