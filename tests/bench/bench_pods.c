#include "tests/bench/bench_pods.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/strmap.h"
#include "proto/schema/object.h"

#define WAIT_MS 60000

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)data;
    if (err != NULL && err->code != ERR_CLOSED) {
        fprintf(stderr, "bench: watch ended: %s\n", err->message);
    }
    rpc_stream_end(st, NULL);
}

static void must_call(struct kit *k, const char *method, const struct buf *params)
{
    struct error err;
    if (kit_call(k, k->sessions[0], method, params, NULL, &err) != 0) {
        fprintf(stderr, "bench: %s: %s\n", method, err.message);
        exit(1);
    }
}

static void watch_pods(struct kit *k, const struct rpc_stream_events *events, void *data)
{
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "kind", STR("Pod"));
    mp_write_key_str(&b, "namespace", STR("bench"));
    rpc_stream_open(k->sessions[1], "watch", buf_str(&b), events, data);
    buf_close(&b);
}

static void delete_one(struct kit *k, const char *kind, const char *name)
{
    struct buf b = BUF_INIT;
    mp_write_map(&b, 3);
    mp_write_key_str(&b, "kind", str_of(kind));
    mp_write_key_str(&b, "namespace", STR("bench"));
    mp_write_key_str(&b, "name", str_of(name));
    must_call(k, "delete", &b);
    buf_close(&b);
}

/* ---- A Deployment ---- */
struct rollout {
    unsigned replicas;
    unsigned gone;
    bool synced, all_bound, all_running, all_gone;
    uint64_t start_us, bound_us, running_us;
    struct strmap bound, running; /* pod names */
};

static void on_pod(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct rollout *r = data;
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        struct mp o = mp_get(it.value, "object");
        struct str type = mp_str(mp_get(it.value, "type"));
        struct str name = mp_str(mp_path(o, "metadata.name"));
        if (str_is(type, "BOOKMARK")) {
            r->synced = true;
            continue;
        }
        r->gone += str_is(type, "DELETED");
        if (mp_str(mp_path(o, "spec.nodeName")).n > 0) {
            strmap_set(&r->bound, name, r);
        }
        if (str_is(mp_str(mp_path(o, "status.phase")), "Running")) {
            strmap_set(&r->running, name, r);
        }
    }
    if (r->bound.count >= r->replicas && !r->all_bound) {
        r->all_bound = true;
        r->bound_us = kit_now_us();
    }
    if (r->running.count >= r->replicas && !r->all_running) {
        r->all_running = true;
        r->running_us = kit_now_us();
    }
    r->all_gone = r->gone >= r->replicas;
    rpc_stream_consumed(st, n);
}

static void write_deployment(struct buf *b, unsigned replicas)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "objects");
    mp_write_array(b, 1);
    mp_write_map(b, 4);
    mp_write_key_str(b, "apiVersion", STR("apps/v1"));
    mp_write_key_str(b, "kind", STR("Deployment"));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", STR("rollout"));
    mp_write_key_str(b, "namespace", STR("bench"));
    mp_write_cstr(b, "spec");
    mp_write_map(b, 3);
    mp_write_key_int(b, "replicas", replicas);
    mp_write_cstr(b, "selector");
    mp_write_map(b, 1);
    mp_write_cstr(b, "matchLabels");
    mp_write_map(b, 1);
    mp_write_key_str(b, "app", STR("rollout"));
    mp_write_cstr(b, "template");
    mp_write_map(b, 2);
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 1);
    mp_write_cstr(b, "labels");
    mp_write_map(b, 1);
    mp_write_key_str(b, "app", STR("rollout"));
    mp_write_cstr(b, "spec");
    mp_write_map(b, 1);
    mp_write_cstr(b, "containers");
    mp_write_array(b, 1);
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", STR("c"));
    mp_write_key_str(b, "image", STR("busybox:1.35"));
}

void bench_rollout(struct kit *k, unsigned replicas)
{
    static const struct rpc_stream_events events = {.on_data = on_pod, .on_end = on_end};
    struct rollout r = {.replicas = replicas};
    struct buf b = BUF_INIT;
    char name[64];
    watch_pods(k, &events, &r);
    kit_run(k, &r.synced, WAIT_MS);
    write_deployment(&b, replicas);
    r.start_us = kit_now_us();
    must_call(k, "apply", &b);
    buf_close(&b);
    kit_run(k, &r.all_bound, WAIT_MS);
    snprintf(name, sizeof name, "deployment_%u_bound", replicas);
    kit_line(name, (double)(r.bound_us - r.start_us) / 1000.0, "ms");
    kit_run(k, &r.all_running, WAIT_MS);
    snprintf(name, sizeof name, "deployment_%u_running", replicas);
    kit_line(name, (double)(r.running_us - r.start_us) / 1000.0, "ms");
    delete_one(k, "Deployment", "rollout");
    kit_run(k, &r.all_gone, WAIT_MS);
    kit_disconnect(k);
    strmap_close(&r.bound);
    strmap_close(&r.running);
}

/* ---- Restart ---- */

struct restart {
    const char *name; /* of the pod of this round */
    bool synced, running, again, gone;
    uint64_t bound_us;
};

static void on_restart_pod(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct restart *r = data;
    for (struct mp_iter it = mp_iter(mp_get(payload, "events")); mp_next(&it);) {
        struct mp o = mp_get(it.value, "object");
        struct str type = mp_str(mp_get(it.value, "type"));
        if (str_is(type, "BOOKMARK")) {
            r->synced = true;
        } else if (str_is(mp_str(mp_path(o, "metadata.name")), r->name)) {
            struct mp_iter statuses = mp_iter(mp_path(o, "status.containerStatuses"));
            if (r->bound_us == 0 && mp_str(mp_path(o, "spec.nodeName")).n > 0) {
                r->bound_us = kit_now_us();
            }
            if (str_is(type, "DELETED")) {
                r->gone = true;
            } else if (mp_next(&statuses) && mp_type(mp_path(statuses.value, "state.running")) == MP_MAP) {
                r->running = true;
                r->again = mp_int(mp_get(statuses.value, "restartCount"), 0) > 0;
            }
        }
    }
    rpc_stream_consumed(st, n);
}

static void write_sleeper(struct buf *b, const char *name, const char *seconds)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    mp_write_map(b, 4);
    mp_write_key_str(b, "apiVersion", STR("v1"));
    mp_write_key_str(b, "kind", STR("Pod"));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", str_of(name));
    mp_write_key_str(b, "namespace", STR("bench"));
    mp_write_cstr(b, "spec");
    mp_write_map(b, 3);
    mp_write_key_int(b, "terminationGracePeriodSeconds", 1);
    mp_write_cstr(b, "volumes");
    mp_write_array(b, 1);
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", STR("data"));
    mp_write_cstr(b, "emptyDir");
    mp_write_map(b, 0);
    mp_write_cstr(b, "containers");
    mp_write_array(b, 1);
    mp_write_map(b, 4);
    mp_write_key_str(b, "name", STR("c"));
    mp_write_key_str(b, "image", STR("busybox:1.35"));
    mp_write_cstr(b, "command");
    mp_write_array(b, 2);
    mp_write_cstr(b, "sleep");
    mp_write_cstr(b, seconds);
    mp_write_cstr(b, "volumeMounts");
    mp_write_array(b, 1);
    mp_write_map(b, 2);
    mp_write_key_str(b, "name", STR("data"));
    mp_write_key_str(b, "mountPath", STR("/data"));
}

/* The process whose arguments are exactly "sleep SECONDS"; no other has that number. 0 if there is none. */
static pid_t find_sleeper(const char *seconds)
{
    char want[64], path[64], have[64];
    size_t size = (size_t)snprintf(want, sizeof want, "sleep%c%s", '\0', seconds) + 1;
    pid_t found = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *e; found == 0 && dir != NULL && (e = readdir(dir)) != NULL;) {
        if (!isdigit((unsigned char)e->d_name[0])) {
            continue;
        }
        snprintf(path, sizeof path, "/proc/%.20s/cmdline", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            ssize_t n = read(fd, have, sizeof have);
            found = n == (ssize_t)size && memcmp(have, want, size) == 0 ? (pid_t)atoi(e->d_name) : 0;
            close(fd);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

static void restart_once(struct kit *k, struct restart *r, unsigned round, struct samples *started,
                         struct samples *bound, struct samples *restarted)
{
    char name[32], seconds[32];
    snprintf(name, sizeof name, "restart-%u", round);
    snprintf(seconds, sizeof seconds, "%u", 1000000000u + (unsigned)getpid() % 1000000 * 100 + round);
    *r = (struct restart){.name = name, .synced = true};
    struct buf b = BUF_INIT;
    write_sleeper(&b, name, seconds);
    uint64_t start = kit_now_us();
    must_call(k, "create", &b);
    buf_close(&b);
    kit_run(k, &r->running, WAIT_MS);
    samples_add(started, kit_now_us() - start);
    samples_add(bound, kit_now_us() - r->bound_us);
    pid_t pid = find_sleeper(seconds);
    if (pid == 0) {
        fprintf(stderr, "bench: no process \"sleep %s\" here: are the nodes on this machine?\n", seconds);
        exit(1);
    }
    start = kit_now_us();
    kill(pid, SIGKILL);
    kit_run(k, &r->again, WAIT_MS);
    samples_add(restarted, kit_now_us() - start);
    delete_one(k, "Pod", name);
    kit_run(k, &r->gone, WAIT_MS);
}

void bench_restart(struct kit *k, unsigned rounds)
{
    static const struct rpc_stream_events events = {.on_data = on_restart_pod, .on_end = on_end};
    struct restart r = {.name = ""};
    struct samples started = {0}, bound = {0}, restarted = {0};
    watch_pods(k, &events, &r);
    kit_run(k, &r.synced, WAIT_MS);
    for (unsigned i = 0; i < rounds; i++) {
        restart_once(k, &r, i, &started, &bound, &restarted);
    }
    kit_line("pod_start", samples_percentile(&started, 0.5) / 1000.0, "ms");
    kit_line("pod_bound_to_running", samples_percentile(&bound, 0.5) / 1000.0, "ms");
    kit_line("container_restart", samples_percentile(&restarted, 0.5) / 1000.0, "ms");
    kit_disconnect(k);
    samples_close(&started);
    samples_close(&bound);
    samples_close(&restarted);
}
