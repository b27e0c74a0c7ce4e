/* Bench: what pods take in a master's memory: the store with its history and the scheduler, in one process, without a
 * disk, a network and a log. Pods of Deployments are made, bound by the scheduler, and reported as running by their
 * nodes; then the state is written as a snapshot and read by a second store, as a master reads it when it starts.
 *
 * usage: bench_memory [pods] [nodes] [plain]      plain: nothing is packed (raft-store/store/pack.h)
 * prints: bench memory_PODS_rss V MB        resident memory, less what the program had before
 *         bench memory_PODS_per_pod V bytes the same for each pod
 *         bench memory_PODS_object V bytes  of it: the pod's object (_body: its body's size)
 *         bench memory_PODS_index V bytes   of it: indexes
 *         bench memory_PODS_cpu V us        CPU of all of this for each pod, up to here
 *         bench memory_PODS_snapshot V s, _restore V s, _restored V MB  time on a core; memory of the second store */
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/text/text.h"
#include "raft-store/store/view_edit.h"
#include "tests/bench/bench_store.h"

#define REPLICAS 300u
#define TURN     256u /* changes that make an entry */

struct bench {
    struct bench_store in;
    unsigned pods;
};

static double core_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double rss_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) {
        fprintf(stderr, "bench: /proc/self/statm cannot be read\n");
        exit(1);
    }
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void line(const struct bench *b, const char *what, double v, const char *unit)
{
    printf("bench memory_%u_%s %.5g %s\n", b->pods, what, v, unit);
}

static struct value *document(struct arena *a, const char *yaml, const struct kind **k)
{
    struct value **docs;
    unsigned count;
    struct error err = {0};
    bench_store_must(yaml_read(a, str_of(yaml), NULL, &docs, &count, &err), &err);
    *k = kind_of_document(a, docs[0], &err);
    bench_store_must(kind_check_fields(*k, a, docs[0], 0, &err), &err);
    struct value *status = value_get(docs[0], "status");
    value_remove(docs[0], "status");
    bench_store_must(kind_check(*k, a, docs[0], NULL, 0, &err), &err);
    if (status != NULL) {
        value_set(a, docs[0], "status", status);
    }
    return docs[0];
}

/* `count` objects like the document, named PREFIX-00000 and so on. */
static void create(struct bench *b, const char *yaml, const char *prefix, unsigned count)
{
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    struct txn t;
    const struct kind *k;
    arena_init(&a);
    struct value *doc = document(&a, yaml, &k), *metadata = value_get(doc, "metadata");
    txn_init(&t, "bench");
    for (unsigned i = 0; i < count; i++) {
        char name[80];
        /* Names as ReplicaSets make them: the row of pods is not the row of their names. */
        snprintf(name, sizeof name, "%s-%05x", prefix, i * 2654435761u >> 12);
        struct value text = {.type = VALUE_STR, .str = str_of(name)};
        value_set(&a, metadata, "name", &text);
        bench_store_must(txn_create_value(&t, k, doc, &err), &err);
        if (t.count == TURN || i + 1 == count) {
            bench_store_submit(&b->in, &t);
            txn_reset(&t);
        }
    }
    txn_close(&t);
}

static void create_pods(struct bench *b)
{
    for (unsigned made = 0, owner = 0; made < b->pods; owner++) {
        char prefix[40];
        unsigned count = MIN(REPLICAS, b->pods - made);
        snprintf(prefix, sizeof prefix, "web-%04u-5d4f8c7b9", owner);
        CLEANUP_FREE char *yaml = xasprintf(
            "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default, labels: {app: web-%u, "
            "pod-template-hash: 5d4f8c7b9}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: "
            "web-%04u-5d4f8c7b9, uid: 00000000-0000-4000-8000-%012u, controller: true, blockOwnerDeletion: true}]}, "
            "spec: {containers: [{name: c, image: 'registry.example.com/team/web:1.25.3', ports: [{containerPort: "
            "8080}], env: [{name: STAGE, value: production}, {name: REGION, value: north}], resources: {requests: "
            "{cpu: 10m, memory: 64Mi}, limits: {memory: 128Mi}}, readinessProbe: {httpGet: {path: /ready, port: "
            "8080}}, volumeMounts: [{name: data, mountPath: /var/lib/data}]}], volumes: [{name: data, emptyDir: "
            "{}}]}}",
            owner, owner, owner);
        create(b, yaml, prefix, count);
        made += count;
    }
}

static void bind_all(struct bench *b)
{
    bool more = true;
    while (more) {
        struct txn t;
        txn_init(&t, "scheduler");
        more = scheduler_run(b->in.scheduler, store_tip(b->in.store), 1767225600000ll, TURN, &t);
        if (t.count > 0) {
            bench_store_submit(&b->in, &t);
        }
        txn_close(&t);
    }
}

/* What a node says when the pod runs. The times are of the whole second, some hundred pods share each. */
static void run_pod(struct txn *t, struct arena *a, const struct object *o, unsigned n)
{
    const char *at = arena_printf(a, "2026-01-01T%02u:%02u:%02uZ", n / 360000 % 24, n / 6000 % 60, n / 100 % 60);
    const char *condition = "{type: %s, status: 'True', lastTransitionTime: '%s'}";
    CLEANUP_BUF struct buf conditions = BUF_INIT;
    static const char *const types[] = {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady",
                                        "PodScheduled"};
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        buf_puts(&conditions, i > 0 ? ", " : "");
        buf_puts(&conditions, arena_printf(a, condition, types[i], at));
    }
    const char *yaml = arena_printf(
        a,
        "{phase: Running, hostIP: 10.0.%u.%u, hostIPs: [{ip: 10.0.%u.%u}], podIP: 10.128.%u.%u, podIPs: [{ip: "
        "10.128.%u.%u}], startTime: '%s', qosClass: Burstable, conditions: [%s], containerStatuses: [{name: c, "
        "containerID: 'reeve://%08x%08x%08x%08x%08x%08x%08x%08x', image: 'registry.example.com/team/web:1.25.3', "
        "imageID: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef', ready: true, started: "
        "true, restartCount: 0, state: {running: {startedAt: '%s'}}}]}",
        n / 30 / 250, n / 30 % 250, n / 30 / 250, n / 30 % 250, n / 250 % 250, n % 250, n / 250 % 250, n % 250, at,
        buf_cstr(&conditions), n, n * 7, n * 2654435761u, n * 40503u, ~n, n ^ 0x5bd1e995u, n * 69069u, n * 3u, at);
    struct value **docs, *doc = object_to_value(a, o);
    unsigned count;
    struct error err = {0};
    struct object *with = NULL;
    bench_store_must(yaml_read(a, str_of(yaml), NULL, &docs, &count, &err), &err);
    value_set(a, doc, "status", docs[0]);
    value_remove(value_get(doc, "metadata"), "resourceVersion");
    bench_store_must(kind_check_fields(o->kind, a, doc, 0, &err), &err);
    bench_store_must(object_from_value(o->kind, doc, 0, &with, &err), &err);
    txn_update(t, with, TXN_PART_STATUS, 0);
}

/* In the row of their names, some in a turn: no version is held meanwhile. */
static void run_all(struct bench *b)
{
    CLEANUP_BUF struct buf ns = BUF_INIT, name = BUF_INIT;
    for (unsigned n = 0; n < b->pods;) {
        struct view_iter it;
        struct txn t;
        txn_init(&t, "bench");
        view_iter_after(&it, store_tip(b->in.store), kind_by_id(KIND_POD), STR_NONE, buf_str(&ns), buf_str(&name));
        for (const struct object *o; t.count < TURN && (o = view_next(&it)) != NULL; n++) {
            CLEANUP_ARENA struct arena a;
            arena_init(&a);
            run_pod(&t, &a, o, n);
            buf_reset(&ns);
            buf_reset(&name);
            buf_append_str(&ns, o->ns);
            buf_append_str(&name, o->name);
        }
        bench_store_submit(&b->in, &t);
        txn_close(&t);
    }
}

/* Turns in which nothing comes: what is owed is packed. */
static void rest(struct bench *b)
{
    for (unsigned i = 0; i < 4000 && b->in.packs; i++) {
        store_pack(b->in.store);
    }
}

static void tell_memory(const struct bench *b, double rss)
{
    uint64_t kept = 0, bodies = 0, packed = 0;
    struct view_iter it;
    const struct view *v = store_committed(b->in.store);
    view_iter(&it, v, kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(o, &it)
    {
        kept += object_kept_bytes(o);
        bodies += o->body_size;
        packed += o->packed;
    }
    struct mallinfo2 heap = mallinfo2();
    fprintf(stderr, "%llu of %u packed; the heap has %.1f MB in use, %.1f MB free, %.1f MB mapped\n",
            (unsigned long long)packed, b->pods, (double)heap.uordblks / 1e6, (double)heap.fordblks / 1e6,
            (double)heap.hblkhd / 1e6);
    line(b, "rss", rss / 1e6, "MB");
    line(b, "per_pod", rss / b->pods, "bytes");
    line(b, "object", (double)kept / b->pods, "bytes");
    line(b, "object_body", (double)bodies / b->pods, "bytes");
    line(b, "index", (double)view_index_bytes(v) / b->pods, "bytes");
}

static int keep(void *data, const void *p, size_t n)
{
    buf_append(data, p, n);
    return 0;
}

static void restart(struct bench *b)
{
    struct buf out = BUF_INIT;
    struct error err = {0};
    double start = core_s();
    struct store_fork *f = store_fork_new(b->in.store);
    bench_store_must(store_fork_write(f, keep, &out), &err);
    store_fork_free(f);
    line(b, "snapshot", core_s() - start, "s");
    scheduler_free(b->in.scheduler);
    store_free(b->in.store);
    malloc_trim(0);
    const struct store_config config = {.env = env_real()};
    struct store *s = store_new(&config);
    double before = rss_bytes();
    start = core_s();
    bench_store_must(store_restore(s, out.data, out.size, b->in.index, &err), &err);
    line(b, "restore", core_s() - start, "s");
    line(b, "restored", (rss_bytes() - before) / 1e6, "MB");
    store_free(s);
    buf_close(&out);
}

int main(int argc, char **argv)
{
    struct bench b = {.pods = argc > 1 ? (unsigned)atoi(argv[1]) : 150000,
                      .in.packs = !(argc > 3 && strcmp(argv[3], "plain") == 0)};
    unsigned nodes = argc > 2 ? (unsigned)atoi(argv[2]) : 5000;
    const struct store_config config = {.env = env_real()};
    const struct scheduler_config scheduler = {.env = env_real(), .seed = 1};
    double before = rss_bytes(), start = core_s();
    b.in.store = store_new(&config);
    b.in.scheduler = scheduler_new(&scheduler);
    store_set_level(b.in.store, 1);
    store_tip_open(b.in.store, 1);
    scheduler_resync(b.in.scheduler, store_tip(b.in.store));
    create(&b, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}", "default", 1);
    create(&b,
           "{apiVersion: v1, kind: Node, metadata: {name: node, labels: {kubernetes.io/os: linux}}, spec: {}, status: "
           "{allocatable: {cpu: '64', memory: 256Gi, pods: '250'}, conditions: [{type: Ready, status: 'True'}]}}",
           "node", nodes);
    create_pods(&b);
    bind_all(&b);
    run_all(&b);
    line(&b, "cpu", (core_s() - start) * 1e6 / b.pods, "us");
    rest(&b);
    tell_memory(&b, rss_bytes() - before);
    restart(&b);
    return 0;
}
