/* Bench: pods the scheduler places per second, its transactions evaluated on a store's tip and batched, on NODES nodes
 * in ten zones. One process, no disk.
 *
 * usage: bench_scheduler [nodes] [pods] [owners] [case]...
 * prints: bench scheduler_pods_per_s V 1/s   (the scheduler's own part)
 *         bench scheduler_bound_per_s V 1/s  (with evaluation on the tip and the log entries)
 * and for each case beside "plain" the same as scheduler_CASE_...: "spread" over zones (maxSkew 1), "spread_hosts",
 * "apart" by host, "near" to a pod of their own in the zone, "likes" one on the host, "all": apart and spread over
 * zones. Those have a fifth of the pods.
 *         bench scheduler_preemptions_per_s V 1/s  (case "preemption": pods for which others have to go, until each is
 *                                                   nominated and its victims are being deleted) */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/text/text.h"
#include "tests/bench/bench_store.h"

struct bench {
    struct bench_store in;
    int64_t deciding_us, all_us;
    unsigned bound_to; /* pods that are made are on one of so many nodes in turn; 0: on none */
};

#define ZONES                     10u
#define TERM(what, key)           "{topologyKey: " key ", labelSelector: {matchLabels: {app: " what "}}}"
#define REQUIRED(rule, what, key) rule ": {requiredDuringSchedulingIgnoredDuringExecution: [" TERM(what, key) "]}"
#define SPREAD(key)                                                                                                    \
    "{topologyKey: " key ", maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: "         \
    "web-%u}}}"
static const struct {
    const char *name, *spec; /* of the pods of owner %u */
    bool near;               /* a pod db-%u is there before */
} cases[] = {
    {"plain", "", false},
    {"spread", ", topologySpreadConstraints: [" SPREAD("zone") "]", false},
    {"spread_hosts", ", topologySpreadConstraints: [" SPREAD("host") "]", false},
    {"apart", ", affinity: {" REQUIRED("podAntiAffinity", "web-%u", "host") "}", false},
    {"near", ", affinity: {" REQUIRED("podAffinity", "db-%u", "zone") "}", true},
    {"likes",
     ", affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 50, podAffinityTerm: " TERM(
         "db-%u", "host") "}]}}",
     true},
    {"all",
     ", affinity: {" REQUIRED("podAntiAffinity", "web-%u", "host") "}, topologySpreadConstraints: [" SPREAD("zone") "]",
     false},
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

/* A document made from YAML once, stored many times under other names. Nodes get the labels of their places. */
static void create_many(struct bench *b, const char *yaml, const char *prefix, unsigned count, const char *owner_uid)
{
    struct arena a;
    struct value **docs;
    unsigned docs_count;
    struct error err = {0};
    arena_init(&a);
    bench_store_must(yaml_read(&a, str_of(yaml), NULL, &docs, &docs_count, &err), &err);
    const struct kind *k = kind_of_document(&a, docs[0], &err);
    const struct value *status = value_get(docs[0], "status");
    value_remove(docs[0], "status");
    bench_store_must(kind_check(k, &a, docs[0], NULL, 0, &err), &err);
    if (status != NULL) {
        value_set(&a, docs[0], "status", value_copy(&a, status));
    }
    struct value *metadata = value_get(docs[0], "metadata");
    if (owner_uid != NULL) {
        struct value *reference = value_map(&a);
        value_set(&a, reference, "apiVersion", value_cstr(&a, "apps/v1"));
        value_set(&a, reference, "kind", value_cstr(&a, "ReplicaSet"));
        value_set(&a, reference, "name", value_cstr(&a, "rs"));
        value_set(&a, reference, "uid", value_cstr(&a, owner_uid));
        value_set(&a, reference, "controller", value_bool(&a, true));
        value_append(&a, value_ensure_list(&a, metadata, "ownerReferences"), reference);
    }
    struct txn t;
    txn_init(&t, "bench");
    for (unsigned i = 0; i < count; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s-%u", prefix, i);
        struct value text = {.type = VALUE_STR, .str = str_of(name)};
        value_set(&a, metadata, "name", &text);
        if (k->id == KIND_NODE) {
            struct value *labels = value_get(metadata, "labels");
            value_set(&a, labels, "host", value_cstr(&a, name));
            value_set(&a, labels, "zone", value_cstr(&a, arena_printf(&a, "zone-%u", i % ZONES)));
        } else if (b->bound_to > 0) {
            value_set(&a, value_get(docs[0], "spec"), "nodeName",
                      value_cstr(&a, arena_printf(&a, "node-%u", i % b->bound_to)));
        }
        bench_store_must(txn_create_value(&t, k, docs[0], &err), &err);
        if (t.count == 1000 || i + 1 == count) {
            bench_store_submit(&b->in, &t);
            txn_reset(&t);
        }
    }
    txn_close(&t);
    arena_close(&a);
}

static void place_all(struct bench *b)
{
    int64_t start = now_us();
    bool more = true;
    while (more) {
        struct txn t;
        txn_init(&t, "scheduler");
        int64_t before = now_us();
        more = scheduler_run(b->in.scheduler, store_tip(b->in.store), 1767225600000ll, 1024, &t);
        b->deciding_us += now_us() - before;
        if (t.count > 0) {
            bench_store_submit(&b->in, &t);
        }
        txn_close(&t);
    }
    b->all_us = now_us() - start;
}

/* The spec of a case for an owner: each %u is its number. */
static char *spec_of(unsigned which, unsigned owner)
{
    struct buf b = BUF_INIT;
    for (const char *p = cases[which].spec; *p != '\0'; p++) {
        if (p[0] == '%' && p[1] == 'u') {
            buf_printf(&b, "%u", owner);
            p++;
        } else {
            buf_putc(&b, *p);
        }
    }
    char *text = xstrdup(buf_cstr(&b));
    buf_close(&b);
    return text;
}

static void create_pods(struct bench *b, unsigned which, unsigned owner, unsigned count)
{
    char uid[40], prefix[40];
    CLEANUP_FREE char *more = spec_of(which, owner);
    snprintf(uid, sizeof uid, "00000000-0000-4000-8000-%012u", owner);
    snprintf(prefix, sizeof prefix, "web-%u", owner);
    CLEANUP_FREE char *yaml =
        xasprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default, labels: {app: web-%u}}\n"
                  "spec: {containers: [{name: c, image: 'registry/web:1', ports: [{containerPort: 80}],"
                  " env: [{name: A, value: b}], resources: {requests: {cpu: 100m, memory: 128Mi}}}]%s}\n"
                  "status: {phase: Pending}\n",
                  owner, more);
    create_many(b, yaml, prefix, count, uid);
}

/* A store and a scheduler that know so many nodes of 32 cpus. */
static void bench_open(struct bench *b, unsigned nodes)
{
    const struct store_config store_config = {.env = env_real(), .history_bytes_max = 1 << 20};
    const struct scheduler_config config = {.env = env_real(), .seed = 1};
    *b = (struct bench){.in = {.store = store_new(&store_config), .scheduler = scheduler_new(&config)}};
    store_tip_open(b->in.store, 1);
    scheduler_resync(b->in.scheduler, store_tip(b->in.store));
    create_many(b, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n", "default", 1, NULL);
    create_many(b,
                "apiVersion: v1\nkind: Node\nmetadata: {name: node, labels: {kubernetes.io/os: linux}}\nspec: {}\n"
                "status: {allocatable: {cpu: '32', memory: 128Gi, pods: '250'},"
                " conditions: [{type: Ready, status: 'True'}]}\n",
                "node", nodes, NULL);
}

static void run_case(unsigned which, unsigned nodes, unsigned pods, unsigned owners)
{
    struct bench b;
    bench_open(&b, nodes);
    for (unsigned i = 0; i < owners && cases[which].near; i++) {
        CLEANUP_FREE char *yaml =
            xasprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default, labels: {app: db-%u}}\n"
                      "spec: {containers: [{name: c, image: i}], nodeSelector: {host: node-%u}}\n",
                      i, i * 7 % nodes);
        char prefix[40];
        snprintf(prefix, sizeof prefix, "db-%u", i);
        create_many(&b, yaml, prefix, 1, NULL);
    }
    place_all(&b);
    b.deciding_us = 0;
    struct scheduler_stats before, stats;
    scheduler_stats(b.in.scheduler, &before);
    for (unsigned i = 0; i < owners; i++) {
        create_pods(&b, which, i, pods / owners);
    }
    place_all(&b);
    scheduler_stats(b.in.scheduler, &stats);
    uint64_t bound = stats.bound - before.bound;
    fprintf(stderr, "%s: %llu bound, %u waiting, %llu evaluations, %u classes\n", cases[which].name,
            (unsigned long long)bound, stats.active + stats.parked,
            (unsigned long long)(stats.evaluations - before.evaluations), stats.classes);
    const char *name = which == 0 ? "" : cases[which].name, *between = which == 0 ? "" : "_";
    printf("bench scheduler%s%s_pods_per_s %.0f 1/s\n", between, name, (double)bound * 1e6 / (double)b.deciding_us);
    printf("bench scheduler%s%s_bound_per_s %.0f 1/s\n", between, name, (double)bound * 1e6 / (double)b.all_us);
    scheduler_free(b.in.scheduler);
    store_free(b.in.store);
}

/* Nodes of 32 cpus with four pods of 8 on each, of three priorities; half as many pods of 8 as there are nodes come. */
static void run_preemption(unsigned nodes)
{
    static const char *const priorities[] = {"1", "2", "2", "3", "10"};
    struct bench b;
    bench_open(&b, nodes);
    for (unsigned i = 0; i < ARRAY_SIZE(priorities); i++) {
        bool low = i + 1 < ARRAY_SIZE(priorities);
        char prefix[16];
        snprintf(prefix, sizeof prefix, "p%u", i);
        CLEANUP_FREE char *yaml =
            xasprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: default, labels: {app: web}}\n"
                      "spec: {priority: %s, containers: [{name: c, image: 'registry/web:1', resources: {requests: "
                      "{cpu: 8}}}]}\nstatus: {phase: %s}\n",
                      priorities[i], low ? "Running" : "Pending");
        b.bound_to = low ? nodes : 0;
        create_many(&b, yaml, prefix, low ? nodes : nodes / 2, NULL);
    }
    place_all(&b);
    struct scheduler_stats stats;
    scheduler_stats(b.in.scheduler, &stats);
    fprintf(stderr, "preemption: %llu preemptions, %llu victims, %u waiting\n", (unsigned long long)stats.preemptions,
            (unsigned long long)stats.victims, stats.active + stats.parked);
    assert(stats.preemptions == nodes / 2 && stats.victims == nodes / 2);
    printf("bench scheduler_preemptions_per_s %.0f 1/s\n", (double)stats.preemptions * 1e6 / (double)b.all_us);
    scheduler_free(b.in.scheduler);
    store_free(b.in.store);
}

int main(int argc, char **argv)
{
    unsigned nodes = argc > 1 ? (unsigned)atoi(argv[1]) : 5000, pods = argc > 2 ? (unsigned)atoi(argv[2]) : 100000;
    unsigned owners = argc > 3 ? (unsigned)atoi(argv[3]) : 100;
    bool preemption = argc <= 4;
    for (int n = 4; n < argc; n++) {
        preemption = preemption || strcmp(argv[n], "preemption") == 0;
    }
    if (preemption) {
        run_preemption(nodes);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bool wanted = argc <= 4;
        for (int n = 4; n < argc; n++) {
            wanted = wanted || strcmp(argv[n], cases[i].name) == 0;
        }
        if (wanted) {
            run_case(i, nodes, i == 0 ? pods : pods / 5, owners);
        }
    }
    return 0;
}
