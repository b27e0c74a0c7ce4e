#include "controllers/usage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "proto/facts/pod_state.h"

struct sample {
    struct str uid;
    uint32_t first, count; /* of the report's containers */
};
/* One block: the report, its samples, its containers, their texts. */
struct report {
    size_t bytes;
    int64_t heard_ms;
    struct usage_node node;
    unsigned count;
    struct sample *samples; /* by uid */
    struct usage_container *containers;
};
struct usage {
    int64_t period_ms;
    struct strmap nodes; /* name -> struct report */
    size_t bytes;
};

struct usage *usage_new(int64_t period_ms)
{
    struct usage *u = xcalloc(1, sizeof *u);
    u->period_ms = period_ms > 0 ? period_ms : USAGE_PERIOD_MS;
    strmap_init(&u->nodes);
    return u;
}

void usage_clear(struct usage *u)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&u->nodes, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(&u->nodes);
    strmap_init(&u->nodes);
    u->bytes = 0;
}

void usage_free(struct usage *u)
{
    if (u != NULL) {
        usage_clear(u);
        strmap_close(&u->nodes);
        free(u);
    }
}

int64_t usage_period_ms(const struct usage *u)
{
    return u->period_ms;
}

size_t usage_bytes(const struct usage *u)
{
    return u->bytes;
}

size_t usage_count(const struct usage *u)
{
    return u->nodes.count;
}

/* ---- Taking a report ---- */

/* What a report needs room for; and that it is one. */
struct measure {
    unsigned pods, containers;
    size_t texts;
};

static bool amount_ok(struct mp m)
{
    return mp_type(m) == MP_INT && mp_int(m, -1) >= 0;
}

static bool measure_container(struct mp m, struct measure *out)
{
    uint32_t count;
    struct str name;
    int64_t cpu, memory;
    if (!mp_read_array(&m, &count) || count != 3 || !mp_read_str(&m, &name) || !mp_read_int(&m, &cpu) ||
        !mp_read_int(&m, &memory) || !name_is_dns_label(name) || cpu < 0 || memory < 0) {
        return false;
    }
    out->containers++;
    out->texts += name.n;
    return true;
}

static bool measure_pod(struct mp m, struct str *former, struct measure *out)
{
    uint32_t count;
    struct str uid;
    if (!mp_read_array(&m, &count) || count != 2 || !mp_read_str(&m, &uid) || uid.n == 0 || uid.n > NAME_KEY_MAX ||
        mp_type(m) != MP_ARRAY || mp_count(m) == 0 || (former->n > 0 && str_cmp(*former, uid) >= 0)) {
        return false;
    }
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        if (out->containers == USAGE_CONTAINERS_MAX || !measure_container(it.value, out)) {
            return false;
        }
    }
    *former = uid;
    out->pods++;
    out->texts += uid.n;
    return true;
}

static int measure_report(struct mp report, struct measure *out, struct error *err)
{
    static const char *const amounts[] = {"at", "window", "cpu", "memory"};
    struct str former = STR_NONE;
    struct mp pods = mp_get(report, "pods");
    for (unsigned i = 0; i < ARRAY_SIZE(amounts); i++) {
        if (!amount_ok(mp_get(report, amounts[i]))) {
            return error_set(err, ERR_USAGE, "node.usage: %s must be a number, not below 0", amounts[i]);
        }
    }
    if (mp_type(pods) != MP_ARRAY || mp_count(pods) > USAGE_PODS_MAX) {
        return error_set(err, ERR_USAGE, "node.usage: pods must be a list of at most %u", USAGE_PODS_MAX);
    }
    for (struct mp_iter it = mp_iter(pods); mp_next(&it);) {
        if (!measure_pod(it.value, &former, out)) {
            return error_set(err, ERR_USAGE,
                             "node.usage: pod %u is not [UID, [[CONTAINER, CPU, MEMORY], ...]], or not in the order of "
                             "uids, or there are more than %u containers",
                             out->pods, USAGE_CONTAINERS_MAX);
        }
    }
    return 0;
}

static struct str keep(char **room, struct str s)
{
    char *at = *room;
    memcpy(at, s.p, s.n);
    *room += s.n;
    return (struct str){at, s.n};
}

static void fill_pod(struct report *r, struct mp m, unsigned *containers, char **room)
{
    struct sample *s = &r->samples[r->count++];
    uint32_t count;
    struct str uid = STR_NONE;
    mp_read_array(&m, &count);
    mp_read_str(&m, &uid);
    *s = (struct sample){.uid = keep(room, uid), .first = *containers};
    for (struct mp_iter it = mp_iter(m); mp_next(&it);) {
        struct usage_container *c = &r->containers[(*containers)++];
        struct mp item = it.value;
        struct str name = STR_NONE;
        mp_read_array(&item, &count);
        mp_read_str(&item, &name);
        mp_read_int(&item, &c->cpu_nano);
        mp_read_int(&item, &c->memory_bytes);
        c->name = keep(room, name);
        s->count++;
    }
}

static struct report *report_new(struct mp m, const struct measure *need, size_t bytes)
{
    struct report *r = xcalloc(1, bytes);
    unsigned containers = 0;
    r->bytes = bytes;
    r->samples = (struct sample *)(r + 1);
    r->containers = (struct usage_container *)(r->samples + need->pods);
    char *room = (char *)(r->containers + need->containers);
    r->node = (struct usage_node){.at_ms = mp_int(mp_get(m, "at"), 0),
                                  .window_ms = mp_int(mp_get(m, "window"), 0),
                                  .cpu_nano = mp_int(mp_get(m, "cpu"), 0),
                                  .memory_bytes = mp_int(mp_get(m, "memory"), 0),
                                  .services_revision = (uint64_t)MAX(mp_int(mp_get(m, "services"), 0), INT64_C(0))};
    for (struct mp_iter it = mp_iter(mp_get(m, "pods")); mp_next(&it);) {
        fill_pod(r, it.value, &containers, &room);
    }
    assert(r->count == need->pods && containers == need->containers && room == (char *)r + bytes);
    return r;
}

int usage_take(struct usage *u, struct str node, struct mp report, int64_t now_ms, struct error *err)
{
    struct measure need = {0};
    if ((size_t)(report.end - report.p) > USAGE_REPORT_BYTES) {
        return error_set(err, ERR_LIMIT, "node.usage: the report has %td bytes; at most %u are taken",
                         report.end - report.p, USAGE_REPORT_BYTES);
    }
    int rv = measure_report(report, &need, err);
    if (rv != 0) {
        return rv;
    }
    size_t bytes = sizeof(struct report) + need.pods * sizeof(struct sample) +
                   need.containers * sizeof(struct usage_container) + need.texts;
    struct report *former = strmap_get(&u->nodes, node);
    size_t others = u->bytes - (former == NULL ? 0 : former->bytes);
    if (others + bytes > USAGE_BYTES_MAX) {
        return error_set(err, ERR_LIMIT, "node.usage: the nodes' reports have %zu bytes; more are not kept", others);
    }
    struct report *r = report_new(report, &need, bytes);
    r->heard_ms = r->node.heard_ms = now_ms;
    free(strmap_set(&u->nodes, node, r));
    u->bytes = others + bytes;
    return 0;
}

void usage_forget(struct usage *u, struct str node)
{
    struct report *r = strmap_remove(&u->nodes, node);
    if (r != NULL) {
        u->bytes -= r->bytes;
        free(r);
    }
}

/* ---- Asking ---- */

static const struct report *fresh(const struct usage *u, struct str node, int64_t now_ms)
{
    const struct report *r = strmap_get(&u->nodes, node);
    return r == NULL || now_ms - r->heard_ms > USAGE_STALE_PERIODS * u->period_ms ? NULL : r;
}

bool usage_of_node(const struct usage *u, struct str node, int64_t now_ms, struct usage_node *out)
{
    const struct report *r = fresh(u, node, now_ms);
    if (r != NULL) {
        *out = r->node;
    }
    return r != NULL;
}

static int by_uid(const void *key, const void *sample)
{
    return str_cmp(*(const struct str *)key, ((const struct sample *)sample)->uid);
}

bool usage_of_pod(const struct usage *u, const struct object *pod, int64_t now_ms, struct usage_pod *out)
{
    const struct report *r = fresh(u, pod_node(pod), now_ms);
    const struct sample *s =
        r == NULL || r->count == 0 ? NULL : bsearch(&pod->uid, r->samples, r->count, sizeof *s, by_uid);
    if (s != NULL) {
        *out = (struct usage_pod){.at_ms = r->node.at_ms,
                                  .window_ms = r->node.window_ms,
                                  .containers = r->containers + s->first,
                                  .count = s->count};
    }
    return s != NULL;
}

bool usage_next(const struct usage *u, size_t *cursor, struct str *node)
{
    const struct strmap_entry *e = strmap_next(&u->nodes, cursor);
    if (e != NULL) {
        *node = (struct str){e->key, e->key_size};
    }
    return e != NULL;
}

int64_t usage_pod_cpu_nano(const struct usage_pod *p)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < p->count; i++) {
        sum += MIN(p->containers[i].cpu_nano, INT64_MAX - sum);
    }
    return sum;
}

int64_t usage_pod_memory_bytes(const struct usage_pod *p)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < p->count; i++) {
        sum += MIN(p->containers[i].memory_bytes, INT64_MAX - sum);
    }
    return sum;
}
