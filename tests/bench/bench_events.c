/* Bench: what events cost the store, with so many of them beside so many pods. One process, no disk: transactions of
 * one event each are evaluated on the tip, sixteen of them are a log entry, which is applied as on its leader.
 *
 * usage: bench_events [events] [pods] [MiB that events may weigh, if they are bounded]
 * prints lines "bench events_WHAT V UNIT": see README.md */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "controllers/registry.h"
#include "proto/text/text.h"
#include "raft-store/store/event.h"
#include "raft-store/store/store.h"

#define SPACES      4u
#define ENTRY_TXNS  16u
#define AGAIN_TIMES 100000u
#define LOOKS       10u

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static void must(int rv, const struct error *err)
{
    if (rv != 0) {
        fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
}

struct bench {
    struct store *store;
    uint64_t index;
    unsigned open;
    int64_t wall_ms;
};

static void close_batch(struct bench *b)
{
    struct error err = {0};
    struct buf entry = BUF_INIT;
    if (!store_batch_empty(b->store)) {
        store_batch_take(b->store, &entry);
        must(store_apply(b->store, ++b->index, entry.data, entry.size, &err), &err);
    }
    buf_close(&entry);
    b->open = 0;
}

static void submit(struct bench *b, struct txn *t)
{
    struct txn_result result;
    struct error err = {0};
    must(store_eval(b->store, t, &result, &err), &err);
    if (++b->open == ENTRY_TXNS) {
        close_batch(b);
    }
}

static void create(struct bench *b, struct arena *a, struct value *doc, const struct kind *k)
{
    struct error err = {0};
    struct txn t;
    txn_init(&t, "bench");
    must(kind_check(k, a, doc, NULL, 0, &err), &err);
    must(txn_create_value(&t, k, doc, &err), &err);
    submit(b, &t);
    txn_close(&t);
}

static void create_yaml(struct bench *b, const char *yaml)
{
    struct arena a;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    arena_init(&a);
    must(yaml_read(&a, str_of(yaml), NULL, &docs, &count, &err), &err);
    create(b, &a, docs[0], kind_of_document(&a, docs[0], &err));
    arena_close(&a);
}

/* Event number i, as the scheduler tells it. */
static void tell(struct bench *b, unsigned i)
{
    struct arena a;
    struct error err = {0};
    struct txn t;
    char ns[16], name[40], uid[40];
    arena_init(&a);
    snprintf(ns, sizeof ns, "team-%u", i % SPACES);
    snprintf(name, sizeof name, "web-5d8f7c9b4-%u", i);
    snprintf(uid, sizeof uid, "00000000-0000-4000-8000-%012u", i);
    struct event_words w = {.kind = kind_by_id(KIND_POD),
                            .ns = str_of(ns),
                            .name = str_of(name),
                            .uid = str_of(uid),
                            .reason = "Scheduled",
                            .component = "default-scheduler",
                            .message = STR("Successfully assigned team/web to node-17 of the second room")};
    txn_init(&t, "bench");
    must(event_put(&t, &a, store_tip(b->store), event_document(&a, &w), b->wall_ms++, 0, &err), &err);
    submit(b, &t);
    txn_close(&t);
    arena_close(&a);
}

/* One whole look for events that have expired, none of which has. */
static void look(const struct bench *b)
{
    struct reconcile_place place;
    struct reconcile_in in = {.view = store_tip(b->store), .wall_ms = b->wall_ms};
    struct error err = {0};
    struct txn t;
    txn_init(&t, "bench");
    for (;;) {
        struct reconcile_out out = {.txn = &t};
        must(controller_event_ttl.reconcile(&in, &out, &err), &err);
        if (t.count > 0) {
            fprintf(stderr, "bench: an event has expired\n");
            exit(1);
        }
        if (out.left_at == NULL) {
            break;
        }
        place = (struct reconcile_place){out.left_at->kind, out.left_at->ns, out.left_at->name};
        in.from = &place;
    }
    txn_close(&t);
}

static int keep(void *data, const void *p, size_t n)
{
    buf_append(data, p, n);
    return 0;
}

static void line(const char *what, double v, const char *unit)
{
    printf("bench events_%s %.2f %s\n", what, v, unit);
}

static size_t heap_bytes(void)
{
    malloc_trim(0);
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

int main(int argc, char **argv)
{
    unsigned events = argc > 1 ? (unsigned)atoi(argv[1]) : 100000, pods = argc > 2 ? (unsigned)atoi(argv[2]) : 50000;
    const struct store_config config = {.env = env_real(),
                                        .history_bytes_max = 1 << 20,
                                        .events_bytes_max = argc > 3 ? (uint64_t)atoi(argv[3]) << 20 : UINT64_MAX};
    struct bench b = {.store = store_new(&config), .wall_ms = 1767225600000ll};
    store_set_level(b.store, 1);
    store_tip_open(b.store, 1);
    for (unsigned i = 0; i < SPACES; i++) {
        char yaml[100];
        snprintf(yaml, sizeof yaml, "{apiVersion: v1, kind: Namespace, metadata: {name: team-%u}}", i);
        create_yaml(&b, yaml);
    }
    for (unsigned i = 0; i < pods; i++) {
        char yaml[300];
        snprintf(yaml, sizeof yaml,
                 "{apiVersion: v1, kind: Pod, metadata: {name: web-5d8f7c9b4-%u, namespace: team-%u, labels: {app: "
                 "web}}, spec: {containers: [{name: c, image: 'registry/web:1'}]}}",
                 i, i % SPACES);
        create_yaml(&b, yaml);
    }
    close_batch(&b);
    size_t before = heap_bytes();
    int64_t start = now_us();
    for (unsigned i = 0; i < events; i++) {
        tell(&b, i);
    }
    close_batch(&b);
    line("new", (double)(now_us() - start) / events, "us");
    line("memory", (double)(heap_bytes() - before) / events, "bytes");
    start = now_us();
    for (unsigned i = 0; i < AGAIN_TIMES; i++) {
        tell(&b, (unsigned)((uint64_t)i * 7919 % events));
    }
    close_batch(&b);
    line("again", (double)(now_us() - start) / AGAIN_TIMES, "us");
    start = now_us();
    for (unsigned i = 0; i < LOOKS; i++) {
        look(&b);
    }
    line("look", (double)(now_us() - start) / LOOKS, "us");
    struct buf out = BUF_INIT;
    struct error err = {0};
    start = now_us();
    struct store_fork *fork = store_fork_new(b.store);
    store_fork_write(fork, keep, &out);
    line("snapshot", (double)(now_us() - start) / 1000, "ms");
    line("snapshot_size", (double)out.size / (1 << 20), "MiB");
    store_fork_free(fork);
    struct store *other = store_new(&config);
    start = now_us();
    must(store_restore(other, out.data, out.size, b.index, &err), &err);
    line("restore", (double)(now_us() - start) / 1000, "ms");
    fprintf(stderr, "%llu events, %llu objects, %.1f MiB of bodies\n",
            (unsigned long long)view_count(store_tip(b.store), kind_by_id(KIND_EVENT)),
            (unsigned long long)view_count(store_tip(b.store), NULL),
            (double)view_bytes(store_tip(b.store)) / (1 << 20));
    store_free(other);
    store_free(b.store);
    buf_close(&out);
    return 0;
}
