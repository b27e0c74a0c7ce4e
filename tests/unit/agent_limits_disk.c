/* A node whose disk the pods fill: who has to go when it is nearly full, that what they took comes back, and that one
 * pod's millions of files do not keep the agent's threads from the others. A whole agent; volumes and logs lie on a
 * disk, everything else is hollow. */
#include "tests/unit/agent_whole.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/pod/evict.h"
#include "agent/pod/podops.h"

#define MI         (1u << 20)
#define DISK_BYTES (100ll << 20) /* so that a pod must use 1 MiB for its going to help */

static struct {
    atomic_bool held; /* measurements wait for `go` */
    atomic_uint began;
    sem_t go;
} gate;

uint64_t __real_evict_measure(const char *path);
uint64_t __wrap_evict_measure(const char *path);
uint64_t __wrap_evict_measure(const char *path)
{
    atomic_fetch_add(&gate.began, 1);
    if (gate.held) {
        sem_wait(&gate.go);
    }
    return __real_evict_measure(path);
}

static int setup(void **state)
{
    struct error err = {0};
    char dir[128];
    whole_setup(state);
    struct fixture *f = *state;
    volume_store_close(f->agent->volumes, NULL, NULL);
    snprintf(dir, sizeof dir, "%s/volumes", f->dir);
    assert_int_equal(volume_store_new(&f->loop, dir, &f->log, &f->agent->volumes, &err), 0);
    f->agent->facts.disk_bytes = DISK_BYTES;
    gate.held = false;
    gate.began = 0;
    sem_init(&gate.go, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    gate.held = false;
    for (unsigned i = 0; i < 64; i++) { /* of a test that failed */
        sem_post(&gate.go);
    }
    whole_teardown(state);
    sem_destroy(&gate.go);
    return 0;
}

#define PRIORITY(n) "'priority':" n ","
#define SCRATCH     "'volumes':[{'name':'scratch','emptyDir':{}}],"
#define BOX         "'containers':[{'name':'c','image':'b'}]"
#define BOX_OF(n)   "'containers':[{'name':'c','image':'b','resources':{'requests':{'ephemeral-storage':'" n "'}}}]"
#define LIMITED     "'containers':[{'name':'c','image':'b','resources':{'limits':{'ephemeral-storage':'1Mi'}}}]"

static void fill(struct fixture *f, const char *below, size_t n)
{
    char path[256];
    CLEANUP_BUF struct buf b = BUF_INIT;
    memset(buf_reserve(&b, n), 7, n);
    b.size = n;
    snprintf(path, sizeof path, "%s/%s", f->dir, below);
    assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
    assert_int_equal(fs_write_file(path, buf_str(&b), 0644, true, NULL), 0);
}
#define IN_SCRATCH(pod) "volumes/uid-" pod "/volumes/scratch/file"

static struct agent_pod *pod_named(struct fixture *f, const char *name)
{
    return pods_find(f->agent, STR("default"), str_of(name));
}

static void run_pod(struct fixture *f, const char *json, const char *name)
{
    char status[64];
    snprintf(status, sizeof status, "status default/%s Running", name);
    master_order(f->master.pods, "ADDED", json);
    run_until(&f->loop, master_heard(&f->master, status));
}

static bool measures(const struct fixture *f)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&f->agent->pods, &i)) != NULL;) {
        const struct agent_pod *ap = e->value;
        if (ap->measuring || (ap->measure_due && ap->pod->state == POD_RUNNING && !ap->pod->failed)) {
            return true;
        }
    }
    return false;
}

/* One round, as the timer begins it. */
static void look(struct fixture *f)
{
    pods_on_measure(&f->agent->measure);
    run_until(&f->loop, !measures(f));
}

static bool has_failed(struct fixture *f, const char *name)
{
    return pod_named(f, name)->pod->failed;
}

static bool is_there(struct fixture *f, const char *below)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->dir, below);
    return fs_exists(path);
}

static void a_disk_nearly_full_sends_off_who_filled_it(void **state)
{
    struct fixture *f = *state;
    run_pod(f, POD("hog", SCRATCH BOX), "hog");
    run_pod(f, POD("lesser", SCRATCH BOX), "lesser");
    run_pod(f, POD("frugal", SCRATCH BOX), "frugal");
    run_pod(f, POD("asked", SCRATCH BOX_OF("8Mi")), "asked");
    fill(f, IN_SCRATCH("hog"), 5 * MI);
    fill(f, IN_SCRATCH("lesser"), 3 * MI);
    fill(f, IN_SCRATCH("frugal"), MI / 2);
    fill(f, IN_SCRATCH("asked"), 7 * MI);
    look(f);
    assert_int_equal(gate.began, 0); /* none has a limit, and there is room */

    f->agent->conditions[NODE_DISK_PRESSURE].is_short = true;
    look(f);
    run_until(&f->loop,
              master_heard(&f->master, "status default/hog Failed") && master_heard(&f->master, "event Evicted"));
    assert_non_null(
        strstr(f->master.last_status, "The node was low on resource: ephemeral-storage. The pod was using"));
    assert_false(has_failed(f, "lesser") || has_failed(f, "frugal") || has_failed(f, "asked"));
    run_until(&f->loop, pod_named(f, "hog")->pod->state == POD_FINISHED);
    assert_false(is_there(f, IN_SCRATCH("hog"))); /* its volume came back */

    look(f);
    run_until(&f->loop, master_heard(&f->master, "status default/lesser Failed"));
    run_until(&f->loop, pod_named(f, "lesser")->pod->state == POD_FINISHED);
    for (unsigned i = 0; i < 3; i++) { /* whatever else fills the disk: their going would not help */
        look(f);
    }
    assert_false(has_failed(f, "frugal") || has_failed(f, "asked"));
}

static void nobody_else_goes_before_the_first_has_given_back(void **state)
{
    struct fixture *f = *state;
    run_pod(f, POD("first", SCRATCH BOX), "first");
    run_pod(f, POD("second", SCRATCH BOX), "second");
    fill(f, IN_SCRATCH("first"), 5 * MI);
    fill(f, IN_SCRATCH("second"), 4 * MI);
    f->agent->conditions[NODE_DISK_PRESSURE].is_short = true;
    look(f);
    assert_true(has_failed(f, "first"));
    enum pod_state real = pod_named(f, "first")->pod->state;
    pod_named(f, "first")->pod->state = POD_CLEANING; /* as long as the test likes */
    look(f);
    assert_false(has_failed(f, "second"));
    f->agent->conditions[NODE_DISK_PRESSURE].is_short = false; /* that was enough */
    pod_named(f, "first")->pod->state = real;
    run_until(&f->loop, pod_named(f, "first")->pod->state == POD_FINISHED);
    look(f);
    assert_false(has_failed(f, "second"));
}

static void priority_counts_before_size_and_the_system_stays(void **state)
{
    struct fixture *f = *state;
    run_pod(f, POD("system", PRIORITY("2000001000") SCRATCH BOX), "system");
    run_pod(f, POD("high", PRIORITY("1000") SCRATCH BOX), "high");
    run_pod(f, POD("low", PRIORITY("-5") SCRATCH BOX), "low");
    fill(f, IN_SCRATCH("system"), 9 * MI);
    fill(f, IN_SCRATCH("high"), 8 * MI);
    fill(f, IN_SCRATCH("low"), 2 * MI);
    static const char *const order[] = {"low", "high"};
    f->agent->conditions[NODE_DISK_PRESSURE].is_short = true;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        look(f);
        assert_true(has_failed(f, order[i]));
        run_until(&f->loop, pod_named(f, order[i])->pod->state == POD_FINISHED);
    }
    look(f);
    assert_false(has_failed(f, "system"));
}

/* A controller makes a new pod for each that was evicted, and the old one's object stays: what they wrote must not
 * add up. */
static void an_evicted_pod_keeps_nothing_on_the_disk(void **state)
{
    struct fixture *f = *state;
    struct runtime_status st;
    char id[RUNTIME_ID_MAX];
    run_pod(f, POD("job", LIMITED), "job");
    container_runtime_id(pod_named(f, "job")->pod->containers[0], 0, id);
    assert_true(runtime_get(f->agent->runtime, id, &st));
    fill(f, "logs/default_job_uid-job/c/0.log", 2 * MI);
    look(f);
    run_until(&f->loop, pod_named(f, "job")->pod->state == POD_FINISHED);
    assert_true(pod_named(f, "job")->pod->clean_all); /* volumes, logs, and the container's own files */
    assert_false(runtime_get(f->agent->runtime, id, &st));
    run_until(&f->loop, master_heard(&f->master, "status default/job Failed"));
    assert_non_null(strstr(f->master.last_status, "\"reason\":\"Evicted\""));
}

static void on_group_gone(const struct error *error, void *data)
{
    assert_null(error);
    *(bool *)data = true;
}

/* Deleted, and open in a process of the container. */
static void bytes_that_are_hidden_count_as_well(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char parent[64], path[CGROUP_PATH_MAX], group[CGROUP_PATH_MAX + RUNTIME_ID_MAX], procs[CGROUP_PATH_MAX * 2],
        id[RUNTIME_ID_MAX];
    snprintf(parent, sizeof parent, "reeve-test-%d", (int)getpid());
    struct cgroup *real = NULL, *hollow = f->agent->cgroup;
    if (geteuid() != 0 || cgroup_new(&f->loop, NULL, parent, NULL, &real, &err) != 0) {
        skip();
    }
    run_pod(f, POD("job", LIMITED), "job");
    container_runtime_id(pod_named(f, "job")->pod->containers[0], 0, id);
    assert_int_equal(cgroup_pod_make(real, "uid-job", NULL, path, &err), 0);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        static char bytes[2 * MI];
        char file[256];
        memset(bytes, 7, sizeof bytes);
        snprintf(file, sizeof file, "%s/hidden", f->dir);
        int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        bool ok = write(fd, bytes, sizeof bytes) == sizeof bytes && fsync(fd) == 0 && unlink(file) == 0;
        (void)!write(ready[1], ok ? "y" : "n", 1);
        pause();
        _exit(0);
    }
    char ok = 'n';
    assert_int_equal(cgroup_pod_place(real, "uid-job", id, pid, &err), 0);
    assert_int_equal(read(ready[0], &ok, 1), 1);
    assert_int_equal(ok, 'y');
    snprintf(group, sizeof group, "%s/%s", path, id);
    cgroup_procs_file(real, group, procs);
    assert_true(fs_exists(procs));
    f->agent->cgroup = real;
    look(f);
    f->agent->cgroup = hollow;
    assert_true(has_failed(f, "job"));
    run_until(&f->loop, pod_named(f, "job")->pod->state == POD_FINISHED);
    bool gone = false;
    close(ready[0]);
    close(ready[1]);
    cgroup_pod_remove(real, "uid-job", on_group_gone, &gone);
    run_until(&f->loop, gone);
    waitpid(pid, NULL, 0);
    cgroup_close(real, NULL, NULL);
    char cmd[256];
    snprintf(cmd, sizeof cmd, "rmdir /sys/fs/cgroup/%s /sys/fs/cgroup/*/%s 2>/dev/null", parent, parent);
    (void)!system(cmd);
}

static void pods_that_take_long_to_measure_leave_threads_to_others(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    run_pod(f, POD("a", LIMITED), "a");
    run_pod(f, POD("b", LIMITED), "b");
    run_pod(f, POD("c", LIMITED), "c");
    run_pod(f, POD("d", LIMITED), "d");
    run_pod(f, POD("e", LIMITED), "e");
    gate.held = true;
    for (unsigned i = 0; i < 3; i++) {
        pods_on_measure(&f->agent->measure);
    }
    run_until(&f->loop, gate.began == 2);
    assert_int_equal(f->agent->pending, 2); /* the others wait, not in the threads' queue */
    gate.held = false;
    sem_post(&gate.go);
    sem_post(&gate.go);
    run_until(&f->loop, !measures(f));
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        assert_true(pod_named(f, names[i])->measured);
    }
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_disk_nearly_full_sends_off_who_filled_it),
        WITH(nobody_else_goes_before_the_first_has_given_back),
        WITH(priority_counts_before_size_and_the_system_stays),
        WITH(an_evicted_pod_keeps_nothing_on_the_disk),
        WITH(bytes_that_are_hidden_count_as_well),
        WITH(pods_that_take_long_to_measure_leave_threads_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
