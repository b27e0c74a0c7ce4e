/* metrics: what nodes and pods use, in the words of Kubernetes' metrics.k8s.io/v1beta1. The leader alone knows it
 * (controllers/usage.h): others forward, as they do writes.
 *
 * Read page by page from what is committed at the moment: a page ends after METRICS_VISITS objects, matching or not, so
 * no turn grows with the state. What is read is soft, so pages are of no common version. */
#include <inttypes.h>

#include "controllers/usage.h"
#include "master/api/api.h"
#include "master/api/write.h"
#include "master/master.h"
#include "proto/facts/pod_state.h"
#include "proto/schema/selector.h"

#define METRICS_VISITS 2000u
#define MISSING_NAMES  16u

struct page {
    struct api_call *c;
    const struct api_metrics *q;
    struct selector *labels, *fields;
    int64_t now_ms;
    struct value *items, *missing; /* missing: names of the first that there is no sample of */
    unsigned count, missing_count;
};

static struct value *usage_value(struct arena *a, int64_t cpu_nano, int64_t memory_bytes)
{
    struct value *u = value_map(a);
    value_set(a, u, "cpu", value_strf(a, "%" PRId64 "n", cpu_nano));
    value_set(a, u, "memory", value_strf(a, "%" PRId64 "Ki", (memory_bytes + 1023) / 1024));
    return u;
}

static struct value *item_new(struct arena *a, const struct object *o, const char *kind, int64_t at_ms,
                              int64_t window_ms)
{
    struct value *item = value_map(a), *metadata = value_map(a);
    struct mp labels = object_labels(o);
    value_set(a, item, "kind", value_cstr(a, kind));
    value_set(a, item, "apiVersion", value_cstr(a, "metrics.k8s.io/v1beta1"));
    value_set(a, item, "metadata", metadata);
    value_set(a, metadata, "name", value_str(a, o->name));
    if (o->ns.n > 0) {
        value_set(a, metadata, "namespace", value_str(a, o->ns));
    }
    value_set(a, metadata, "creationTimestamp", value_time(a, at_ms));
    if (mp_count(labels) > 0) {
        value_set(a, metadata, "labels", msgpack_read_checked(a, labels));
    }
    value_set(a, item, "timestamp", value_time(a, at_ms));
    value_set(a, item, "window", value_strf(a, "%" PRId64 ".%03" PRId64 "s", window_ms / 1000, window_ms % 1000));
    return item;
}

static struct value *node_item(struct page *p, const struct object *o)
{
    struct arena *a = p->c->arena;
    struct usage_node u;
    if (!usage_of_node(core_usage(p->c->m->core), o->name, p->now_ms, &u)) {
        return NULL;
    }
    struct value *item = item_new(a, o, "NodeMetrics", u.at_ms, u.window_ms);
    value_set(a, item, "usage", usage_value(a, u.cpu_nano, u.memory_bytes));
    return item;
}

static struct value *pod_item(struct page *p, const struct object *o)
{
    struct arena *a = p->c->arena;
    struct usage_pod u;
    if (!usage_of_pod(core_usage(p->c->m->core), o, p->now_ms, &u)) {
        return NULL;
    }
    struct value *item = item_new(a, o, "PodMetrics", u.at_ms, u.window_ms), *list = value_list(a);
    for (unsigned i = 0; i < u.count; i++) {
        struct value *c = value_map(a);
        value_set(a, c, "name", value_str(a, u.containers[i].name));
        value_set(a, c, "usage", usage_value(a, u.containers[i].cpu_nano, u.containers[i].memory_bytes));
        value_append(a, list, c);
    }
    value_set(a, item, "containers", list);
    return item;
}

static void add(struct page *p, const struct object *o)
{
    bool pod = o->kind->id == KIND_POD;
    if ((p->labels != NULL && !selector_matches_object(p->labels, o)) ||
        (p->fields != NULL && !field_selector_matches(p->fields, o))) {
        return;
    }
    struct value *item = pod ? pod_item(p, o) : node_item(p, o);
    if (item != NULL) {
        value_append(p->c->arena, p->items, item);
        p->count++;
    } else if (!pod || !pod_finished(o)) {
        if (p->missing_count++ < MISSING_NAMES) {
            value_append(p->c->arena, p->missing, value_str(p->c->arena, o->name));
        }
    }
}

static void answer(struct page *p, const struct object *last)
{
    struct arena *a = p->c->arena;
    bool pods = p->q->of.kind->id == KIND_POD;
    struct value *doc = value_map(a), *metadata = value_map(a);
    CLEANUP_BUF struct buf b = BUF_INIT;
    value_set(a, doc, "kind", value_cstr(a, pods ? "PodMetricsList" : "NodeMetricsList"));
    value_set(a, doc, "apiVersion", value_cstr(a, "metrics.k8s.io/v1beta1"));
    value_set(a, doc, "metadata", metadata);
    if (last != NULL) {
        value_set(a, metadata, "continue", value_strf(a, "%.*s/%.*s", STR_ARG(last->ns), STR_ARG(last->name)));
    }
    value_set(a, doc, "items", p->items);
    value_set(a, doc, "missing", value_int(a, p->missing_count));
    value_set(a, doc, "missingNames", p->missing);
    value_set(a, doc, "periodMs", value_int(a, usage_period_ms(core_usage(p->c->m->core))));
    msgpack_write_value(&b, doc);
    p->c->front->told(p->c, mp_of(b.data, b.size));
}

static void walk(struct page *p, const struct view *v)
{
    const struct api_metrics *q = p->q;
    const struct object *last = NULL;
    struct view_iter it;
    unsigned visits = 0;
    const char *slash = q->token.n == 0 ? NULL : memchr(q->token.p, '/', q->token.n);
    if (slash != NULL) {
        size_t n = (size_t)(slash - q->token.p);
        view_iter_after(&it, v, q->of.kind, q->of.ns, (struct str){q->token.p, n},
                        (struct str){slash + 1, q->token.n - n - 1});
    } else {
        view_iter(&it, v, q->of.kind, q->of.ns);
    }
    VIEW_FOR(o, &it)
    {
        add(p, o);
        if (++visits == METRICS_VISITS || p->count == (unsigned)q->limit) {
            last = o;
            break;
        }
    }
    p->c->m->stats.visits_most = MAX(p->c->m->stats.visits_most, visits);
    answer(p, last);
}

void verb_metrics(struct api_call *c, const struct api_metrics *q)
{
    struct page p = {.c = c, .q = q, .now_ms = env_now_ms(c->m->env)};
    struct error err = {0};
    const struct view *v = store_committed(replica_store(c->m->replica));
    if (q->of.kind->id != KIND_POD && q->of.kind->id != KIND_NODE) {
        api_fail(c, ERR_USAGE, "metrics: kind must be Pod or Node: of %s nothing is measured", q->of.kind->plural);
        return;
    }
    if (q->limit < 1 || q->limit > API_METRICS_LIMIT) {
        api_fail(c, ERR_USAGE, "metrics: limit must be between 1 and %d", API_METRICS_LIMIT);
        return;
    }
    if (api_selectors(c->arena, &q->of, &p.labels, &p.fields, &err) != 0) {
        c->front->fail(c, &err);
        return;
    }
    p.items = value_list(c->arena);
    p.missing = value_list(c->arena);
    if (q->name.n == 0) {
        walk(&p, v);
        return;
    }
    struct str ns = q->of.kind->namespaced && q->of.ns.n == 0 ? STR("default") : q->of.ns;
    const struct object *o = view_get(v, q->of.kind, ns, q->name);
    if (o == NULL) {
        error_not_found(&err, q->of.kind, q->name);
        c->front->fail(c, &err);
        return;
    }
    add(&p, o);
    answer(&p, NULL);
}
