/* Pods that outgrow their limits for the disk, in a whole agent: what is measured, by which thread, and what comes of
 * it. The volumes lie on a disk, everything else is hollow; a measurement lasts as long as the test likes
 * (evict_measure is wrapped by the linker). */
#include "tests/unit/agent_whole.h"

#include <semaphore.h>
#include <stdatomic.h>

#include "agent/pod/evict.h"
#include "agent/pod/pods.h"

#define MI (1u << 20)

static struct {
    atomic_bool held;         /* measurements wait for `go` */
    atomic_uint began, ended; /* on worker threads */
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
    uint64_t bytes = __real_evict_measure(path);
    atomic_fetch_add(&gate.ended, 1);
    return bytes;
}

static void open_volumes(struct fixture *f)
{
    struct error err = {0};
    char dir[128];
    volume_store_close(f->agent->volumes, NULL, NULL);
    snprintf(dir, sizeof dir, "%s/volumes", f->dir);
    if (volume_store_new(&f->loop, dir, &f->log, &f->agent->volumes, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static int setup(void **state)
{
    whole_setup(state);
    open_volumes(*state);
    gate.held = false;
    gate.began = gate.ended = 0;
    sem_init(&gate.go, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    for (unsigned i = 0; i < 16; i++) { /* of a test that failed */
        sem_post(&gate.go);
    }
    whole_teardown(state);
    sem_destroy(&gate.go);
    return 0;
}

#define CACHE "'volumes':[{'name':'cache','emptyDir':{'sizeLimit':'1Mi'}}],'containers':[{'name':'c','image':'b'}]"
#define DISK  "'containers':[{'name':'c','image':'b','resources':{'limits':{'ephemeral-storage':'1Mi'}}}]"

static void fill(struct fixture *f, const char *below, size_t n)
{
    char path[256];
    CLEANUP_BUF struct buf b = BUF_INIT;
    memset(buf_reserve(&b, n), 7, n);
    b.size = n;
    snprintf(path, sizeof path, "%s/%s", f->dir, below);
    assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
    assert_int_equal(fs_write_file(path, buf_str(&b), 0644, false, NULL), 0);
}
#define IN_CACHE(pod) "volumes/uid-" pod "/volumes/cache/file"

static void run_pod(struct fixture *f, const char *json, const char *status)
{
    master_order(f->master.pods, "ADDED", json);
    run_until(&f->loop, master_heard(&f->master, status));
}

/* One look at all pods, as the timer does it. */
static void look(struct fixture *f)
{
    pods_on_measure(&f->agent->measure);
}

static struct agent_pod *pod_named(struct fixture *f, const char *name)
{
    return pods_find(f->agent, STR("default"), str_of(name));
}

/* What a measurement led to is decided on the loop, in the turn in which it is over. */
static void look_to_the_end(struct fixture *f, const char *name)
{
    look(f);
    run_until(&f->loop, !pod_named(f, name)->measuring);
}

static void a_volume_beyond_its_limit_evicts_the_pod(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    run_pod(f, POD("web", CACHE), "status default/web Running");
    fill(f, IN_CACHE("web"), MI / 2);
    look_to_the_end(f, "web");
    assert_int_equal(gate.ended, 2); /* the volume, and the container's log; a hollow container has no layer */
    assert_false(master_heard(m, "status default/web Failed"));
    fill(f, IN_CACHE("web"), 2 * MI);
    look_to_the_end(f, "web");
    run_until(&f->loop, master_heard(m, "status default/web Failed") && master_heard(m, "event Evicted"));
    assert_non_null(strstr(m->last_status, "\"reason\":\"Evicted\""));
    assert_non_null(strstr(m->last_status, "\"message\":\"Usage of EmptyDir volume \\\"cache\\\" exceeds the limit "
                                           "\\\"1Mi\\\". \""));
    assert_non_null(strstr(m->last_status, "\"restartCount\":0"));
    /* it stays as it is: nothing of it is measured or started again */
    run_until(&f->loop, pod_named(f, "web")->pod->state == POD_FINISHED);
    unsigned began = gate.began;
    look(f);
    assert_int_equal(gate.began, began);
}

static void logs_count_for_the_container(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    run_pod(f, POD("job", DISK), "status default/job Running");
    run_pod(f, POD("other", "'containers':[{'name':'c','image':'b'}]"), "status default/other Running");
    fill(f, "logs/default_other_uid-other/c/0.log", 2 * MI); /* without a limit */
    fill(f, "logs/default_job_uid-job/c/0.log", MI / 2);
    look_to_the_end(f, "job");
    assert_false(master_heard(m, "status default/job Failed"));
    fill(f, "logs/default_job_uid-job/c/0.log.1", MI); /* what was rotated, too */
    look_to_the_end(f, "job");
    run_until(&f->loop, master_heard(m, "status default/job Failed") && master_heard(m, "event Evicted"));
    assert_non_null(strstr(m->last_status, "exceeds the total limit of containers 1Mi. "));
    assert_false(master_heard(m, "status default/other Failed"));
}

static void a_pod_is_measured_once_at_a_time(void **state)
{
    struct fixture *f = *state;
    run_pod(f, POD("web", CACHE), "status default/web Running");
    gate.held = true;
    look(f);
    run_until(&f->loop, gate.began == 1);
    look(f);
    look(f);
    assert_int_equal(f->agent->pending, 1);
    run_pod(f, POD("second", CACHE), "status default/second Running"); /* nobody waits for it */
    look(f);
    run_until(&f->loop, gate.began == 2); /* and another pod is looked at meanwhile */
    assert_int_equal(f->agent->pending, 2);
    gate.held = false;
    sem_post(&gate.go);
    sem_post(&gate.go);
    run_until(&f->loop, f->agent->pending == 0);
    assert_int_equal(gate.ended, 4);
    assert_false(pod_named(f, "web")->measuring || pod_named(f, "second")->measuring);
}

static void a_pod_that_goes_away_while_it_is_measured_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct agent_stats stats;
    run_pod(f, POD("web", CACHE), "status default/web Running");
    fill(f, IN_CACHE("web"), 2 * MI);
    gate.held = true;
    look(f);
    run_until(&f->loop, gate.began == 1);
    master_order(m->pods, "DELETED", POD("web", CACHE));
    run_until(&f->loop, (agent_get_stats(f->agent, &stats), stats.pods == 0));
    gate.held = false;
    sem_post(&gate.go);
    run_until(&f->loop, f->agent->pending == 0);
    assert_false(master_heard(m, "event Evicted"));
    assert_false(master_heard(m, "status default/web Failed"));
}

/* Its deletion was asked for first: that is how it ends. */
static void a_pod_that_is_being_deleted_is_not_evicted(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    run_pod(f, POD("web", CACHE), "status default/web Running");
    fill(f, IN_CACHE("web"), 2 * MI);
    gate.held = true;
    look(f);
    run_until(&f->loop, gate.began == 1);
    master_order(m->pods, "MODIFIED", DELETING("web", CACHE));
    run_until(&f->loop, master_heard(m, "gone default/web"));
    gate.held = false;
    sem_post(&gate.go);
    run_until(&f->loop, f->agent->pending == 0);
    assert_false(master_heard(m, "event Evicted"));
    assert_false(master_heard(m, "status default/web Failed"));
}

static void on_other_stopped(void *data)
{
    *(bool *)data = true;
}

/* The thread works on memory of the agent's: its end waits for that, and what it found counts no more. */
static void an_agent_that_stops_waits_for_the_measurement(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    bool stopped = false;
    run_pod(f, POD("web", CACHE), "status default/web Running");
    fill(f, IN_CACHE("web"), 2 * MI);
    gate.held = true;
    look(f);
    run_until(&f->loop, gate.began == 1);
    agent_stop(f->agent, on_other_stopped, &stopped);
    run_until(&f->loop, !master_has_peers(m)); /* it has hung up, and closes its modules */
    for (unsigned i = 0; i < 50; i++) {        /* timers of 10 ms pass in between */
        uv_run(&f->loop, UV_RUN_ONCE);
    }
    assert_false(stopped);
    gate.held = false;
    sem_post(&gate.go);
    run_until(&f->loop, stopped);
    assert_int_equal(gate.ended, 2);
    assert_false(master_heard(m, "event Evicted"));
    /* the next one finds the pod and its volume, and evicts it */
    open_agent(f);
    open_volumes(f);
    run_until(&f->loop, m->pods != NULL && m->refs != NULL && m->routes != NULL);
    master_forget(m);
    master_order(m->pods, "ADDED", POD("web", CACHE));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    look_to_the_end(f, "web");
    run_until(&f->loop, master_heard(m, "status default/web Failed"));
}

/* What pods take of memory or process ids, by the end of the path. */
static uint64_t takes[2];
int __wrap_cgroup_usage(struct cgroup *c, const char *path, struct cgroup_usage *out, struct error *err);
int __wrap_cgroup_usage(struct cgroup *c, const char *path, struct cgroup_usage *out, struct error *err)
{
    (void)c, (void)err;
    bool small = strstr(path, "uid-small") != NULL;
    *out = (struct cgroup_usage){.working_set_bytes = takes[small ? 0 : 1], .pids = takes[small ? 0 : 1]};
    return 0;
}

static void check_short(struct fixture *f)
{
    f->agent->hollow = false;
    pods_check_short(f->agent);
    f->agent->hollow = true;
}

#define ANY "'containers':[{'name':'c','image':'b'}]"

static void a_node_short_of_memory_lets_one_pod_go_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct node_condition *memory = &f->agent->conditions[NODE_MEMORY_PRESSURE];
    takes[0] = 10 * MI;
    takes[1] = 200 * MI;
    run_pod(f, POD("small", ANY), "status default/small Running");
    run_pod(f, POD("large", ANY), "status default/large Running");
    run_pod(f, POD("system", "'priority':2000000000," ANY), "status default/system Running");
    check_short(f);
    assert_false(pod_named(f, "large")->pod->failed);
    memory->is_short = true;
    check_short(f);
    check_short(f); /* the first one still gives back */
    run_until(&f->loop, master_heard(m, "status default/large Failed"));
    assert_true(master_heard(m, "event Evicted"));
    assert_false(pod_named(f, "small")->pod->failed);
    run_until(&f->loop, pod_named(f, "large")->pod->state == POD_FINISHED);
    check_short(f);
    run_until(&f->loop, master_heard(m, "status default/small Failed"));
    run_until(&f->loop, pod_named(f, "small")->pod->state == POD_FINISHED);
    check_short(f); /* of the system's none goes */
    assert_false(pod_named(f, "system")->pod->failed);
}

static void a_node_short_of_process_ids_lets_the_one_with_most_go(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    takes[0] = 5;
    takes[1] = 900;
    run_pod(f, POD("small", ANY), "status default/small Running");
    run_pod(f, POD("large", ANY), "status default/large Running");
    f->agent->conditions[NODE_PID_PRESSURE].is_short = true;
    check_short(f);
    run_until(&f->loop, master_heard(m, "status default/large Failed"));
    assert_false(pod_named(f, "small")->pod->failed);
}

/* Idle costs nothing. */
static void the_timer_runs_while_a_pod_has_limits(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct agent *a = f->agent;
    uv_handle_t *timer = (uv_handle_t *)&a->measure;
    struct agent_stats stats;
    run_pod(f, POD("web", CACHE), "status default/web Running");
    run_pod(f, POD("free", "'containers':[{'name':'c','image':'b'}]"), "status default/free Running");
    pods_watch_disk(pod_named(f, "web"));
    assert_false(uv_is_active(timer)); /* hollow pods have no disk */
    a->hollow = false;
    pods_watch_disk(pod_named(f, "free"));
    assert_false(uv_is_active(timer));
    pods_watch_disk(pod_named(f, "web"));
    a->hollow = true;
    assert_true(uv_is_active(timer));
    look_to_the_end(f, "web");
    assert_true(uv_is_active(timer));
    master_order(m->pods, "DELETED", POD("web", CACHE));
    run_until(&f->loop, (agent_get_stats(a, &stats), stats.pods == 1));
    look(f);
    assert_false(uv_is_active(timer));
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_node_short_of_memory_lets_one_pod_go_at_a_time),
        WITH(a_node_short_of_process_ids_lets_the_one_with_most_go),
        WITH(a_volume_beyond_its_limit_evicts_the_pod),
        WITH(logs_count_for_the_container),
        WITH(a_pod_is_measured_once_at_a_time),
        WITH(a_pod_that_goes_away_while_it_is_measured_is_forgotten),
        WITH(a_pod_that_is_being_deleted_is_not_evicted),
        WITH(an_agent_that_stops_waits_for_the_measurement),
        WITH(the_timer_runs_while_a_pod_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
