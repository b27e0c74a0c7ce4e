/* HorizontalPodAutoscaler: as many pods as what they use asks for. Source: Kubernetes autoscaling/v2.
 *
 * Once a period (that of the agents' measurements) and when its spec changes: what the target's pods use is added up
 * (autoscaler_pods.c), each metric asks for a number (autoscaler_replicas.c), the highest counts, and what becomes of
 * it within bounds, windows and policies is written into the target's spec.replicas, together with the status. What is
 * used is soft state beside the view (struct controller_soft), and what was recommended before is remembered from one
 * reconcile to the next (reconcile_in.memory): with the same of both the same is decided.
 *
 * A new leader remembers nothing. It takes the number that it finds for a recommendation (autoscaler_begin), so nothing
 * becomes smaller before it has watched for a whole window; and pods of which it has no samples yet count as such that
 * use what they should. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "controllers/registry.h"
#include "controllers/workloads/autoscaler.h"
#include "proto/managed/managed.h"
#include "proto/model/quantity.h"

#define COMPONENT "horizontal-pod-autoscaler"

/* ---- What is remembered ---- */

struct head {
    char uid[AUTOSCALER_UID_MAX];
    uint32_t advices, changes, walking;
};

void autoscaler_recall(struct autoscaler_memory *m, struct str uid, struct str bytes)
{
    struct head h;
    memset(m, 0, sizeof *m);
    snprintf(m->uid, sizeof m->uid, "%.*s", STR_ARG(uid));
    if (bytes.n < sizeof h) {
        return;
    }
    memcpy(&h, bytes.p, sizeof h);
    if (strcmp(h.uid, m->uid) != 0) { /* of a former one of this name */
        return;
    }
    const char *p = bytes.p + sizeof h;
    assert(h.advices <= AUTOSCALER_RECORDS_MAX && h.changes <= AUTOSCALER_RECORDS_MAX);
    m->advices_count = h.advices;
    m->changes_count = h.changes;
    m->walking = h.walking != 0;
    memcpy(m->advices, p, h.advices * sizeof *m->advices);
    p += h.advices * sizeof *m->advices;
    memcpy(m->changes, p, h.changes * sizeof *m->changes);
    p += h.changes * sizeof *m->changes;
    if (m->walking) {
        memcpy(&m->walk, p, sizeof m->walk);
        p += sizeof m->walk;
    }
    assert(p == bytes.p + bytes.n);
}

struct str autoscaler_remember(struct arena *a, const struct autoscaler_memory *m)
{
    struct head h = {.advices = m->advices_count, .changes = m->changes_count, .walking = m->walking};
    memcpy(h.uid, m->uid, sizeof h.uid);
    size_t advices = m->advices_count * sizeof *m->advices, changes = m->changes_count * sizeof *m->changes,
           walk = m->walking ? sizeof m->walk : 0, n = sizeof h + advices + changes + walk;
    char *bytes = arena_alloc(a, n), *p = bytes;
    memcpy(p, &h, sizeof h);
    p += sizeof h;
    memcpy(p, m->advices, advices);
    p += advices;
    memcpy(p, m->changes, changes);
    p += changes;
    memcpy(p, &m->walk, walk);
    return (struct str){bytes, n};
}

_Static_assert(sizeof(struct head) + sizeof(struct autoscaler_memory) <= RECONCILE_MEMORY_MAX,
               "what is remembered has room");

/* ---- Status ---- */

static void say(struct autoscaler *s, const char *type, const char *is, const char *reason, const char *message)
{
    s->dirty |= condition_set(s->a, s->status, type, is, reason, message, s->in->wall_ms, false);
}

/* As an event, too, unless the condition says it already: what goes on failing is told once. */
static void fail(struct autoscaler *s, const char *type, const char *reason, const char *event, const char *message)
{
    const struct value *was = condition_get(s->status, type);
    if (!str_is(value_path_str(was, "reason"), reason) || !str_is(value_path_str(was, "message"), message)) {
        controller_event(s->out, s->in, s->obj, "Warning", event, COMPONENT, "%s", message);
    }
    say(s, type, "False", reason, message);
}

static void set_count(struct autoscaler *s, const char *name, int64_t n)
{
    s->dirty |= status_set_int(s->a, s->status, name, n, true);
}

static struct value *amount_value(struct autoscaler *s, const struct autoscaler_metric *m, int64_t n)
{
    char text[QUANTITY_SIZE];
    if (m->cpu) {
        quantity_format_milli(n, text);
    } else {
        quantity_format_bytes(n, text);
    }
    return value_cstr(s->a, text);
}

static struct value *metric_status(struct autoscaler *s, const struct autoscaler_metric *m)
{
    struct arena *a = s->a;
    bool whole = m->container.n == 0;
    struct value *out = value_map(a), *source = value_map(a), *current = value_map(a);
    value_set(a, out, "type", value_cstr(a, whole ? "Resource" : "ContainerResource"));
    value_set(a, out, whole ? "resource" : "containerResource", source);
    value_set(a, source, "name", value_cstr(a, m->cpu ? "cpu" : "memory"));
    value_set(a, source, "current", current);
    if (!whole) {
        value_set(a, source, "container", value_str(a, m->container));
    }
    value_set(a, current, "averageValue", amount_value(s, m, m->mean));
    if (!m->amount) {
        value_set(a, current, "averageUtilization", value_int(a, MIN(m->percent, (int64_t)INT32_MAX)));
    }
    return out;
}

static void set_metrics(struct autoscaler *s)
{
    struct value *list = value_list(s->a), *was = value_get(s->status, "currentMetrics");
    for (unsigned i = 0; i < s->metrics_count; i++) {
        if (s->metrics[i].unknown == NULL) {
            value_append(s->a, list, metric_status(s, &s->metrics[i]));
        }
    }
    if (value_count(list) == 0) {
        s->dirty |= was != NULL;
        value_remove(s->status, "currentMetrics");
    } else if (was == NULL || !value_equal(list, was)) {
        s->dirty = true;
        value_set(s->a, s->status, "currentMetrics", list);
    }
}

static int finish(struct autoscaler *s, struct error *err)
{
    s->dirty |= status_set_int(s->a, s->status, "observedGeneration", s->obj->generation, false);
    s->out->memory = autoscaler_remember(s->a, &s->memory);
    return s->dirty ? txn_update_value(s->out->txn, s->obj->kind, s->doc, TXN_PART_STATUS, s->obj->revision, err) : 0;
}

/* ---- The target ---- */

/* NULL: it cannot be scaled; that is said. */
static const struct object *find_target(struct autoscaler *s)
{
    struct mp ref = mp_get(s->spec, "scaleTargetRef");
    struct str version = mp_str(mp_get(ref, "apiVersion")), kind = mp_str(mp_get(ref, "kind")),
               name = mp_str(mp_get(ref, "name"));
    const struct kind *k = kind_of_reference(version.n > 0 ? version : STR("v1"), kind);
    const char *why = NULL;
    const struct object *o = NULL;
    if (k == NULL) {
        why = arena_printf(s->a, "there is no kind %.*s in %.*s", STR_ARG(kind),
                           STR_ARG(version.n > 0 ? version : STR("v1")));
    } else if (!k->has_scale) {
        why = arena_printf(s->a, "%s \"%.*s\" has no number of pods", k->name, STR_ARG(name));
    } else if ((o = view_get(s->in->view, k, s->obj->ns, name)) == NULL || o->deleting) {
        why = arena_printf(s->a, "%s \"%.*s\" %s", k->plural, STR_ARG(name),
                           o == NULL ? "not found" : "is being deleted");
        o = NULL;
    }
    if (why != NULL) {
        fail(s, "AbleToScale", "FailedGetScale", "FailedGetScale", why);
    }
    return why == NULL ? o : NULL;
}

/* Another one for the same target: they would pull it to and fro, so neither does anything. */
static const struct object *find_rival(struct autoscaler *s)
{
    struct view_iter it;
    view_iter_referring(&it, s->in->view, s->target, s->obj->kind);
    VIEW_FOR(o, &it)
    {
        if (o != s->obj && !o->deleting && str_eq(o->ns, s->obj->ns)) {
            return o;
        }
    }
    return NULL;
}

static int scale(struct autoscaler *s, int64_t to, const char *why, struct error *err)
{
    struct value *doc = object_to_value(s->a, s->target), *was = value_copy(s->a, doc);
    /* Whoever applies another number from now on hears of a conflict. */
    const struct managed_writer w = {
        .manager = STR("horizontal-pod-autoscaler"), .subresource = STR("scale"), .now_s = s->in->wall_ms / 1000};
    value_set(s->a, value_ensure_map(s->a, doc, "spec"), "replicas", value_int(s->a, to));
    managed_note_own(s->target->kind, s->a, was, doc, &w);
    int rv = txn_update_value(s->out->txn, s->target->kind, doc, TXN_PART_ALL, s->target->revision, err);
    if (rv != 0) {
        return rv;
    }
    struct autoscaler_rules up, down;
    int64_t longest_s = 0;
    autoscaler_read_rules(mp_get(s->spec, "behavior"), true, &up);
    autoscaler_read_rules(mp_get(s->spec, "behavior"), false, &down);
    for (unsigned i = 0; i < MAX(up.count, down.count); i++) {
        longest_s = MAX(
            longest_s, MAX(i < up.count ? up.policies[i].period_s : 0, i < down.count ? down.policies[i].period_s : 0));
    }
    autoscaler_note_change(&s->memory, s->in->wall_ms, to - s->current, longest_s);
    value_set(s->a, s->status, "lastScaleTime", value_time(s->a, s->in->wall_ms));
    say(s, "AbleToScale", "True", "SucceededRescale",
        arena_printf(s->a, "the number of pods was set to %lld", (long long)to));
    controller_event(s->out, s->in, s->obj, "Normal", "SuccessfulRescale", COMPONENT, "New size: %lld; reason: %s",
                     (long long)to, why);
    DECIDED(s->out, REASON_SCALES_TARGET, .what = s->target->name, .count = s->current, .other = to);
    s->dirty = true;
    return 0;
}

/* ---- Metrics ---- */

static void read_metric(struct autoscaler *s, struct mp metric)
{
    struct mp source = mp_get(metric, "resource");
    source = mp_type(source) == MP_MAP ? source : mp_get(metric, "containerResource");
    struct str name = mp_str(mp_get(source, "name")), amount = mp_str(mp_path(source, "target.averageValue"));
    struct autoscaler_metric *m = &s->metrics[s->metrics_count];
    *m = (struct autoscaler_metric){
        .cpu = str_is(name, "cpu"), .container = mp_str(mp_get(source, "container")), .amount = amount.n > 0};
    bool ok = m->cpu || str_is(name, "memory");
    if (m->amount) {
        ok = ok && (m->cpu ? quantity_milli(amount, &m->target) : quantity_units(amount, &m->target));
    } else {
        m->target = mp_int(mp_path(source, "target.averageUtilization"), 0);
    }
    s->metrics_count += ok && m->target > 0; /* others the API does not let in */
}

/* "cpu resource utilization (percentage of request)" */
static const char *metric_words(struct autoscaler *s, const struct autoscaler_metric *m)
{
    return arena_printf(s->a, "%s %sresource%s", m->cpu ? "cpu" : "memory", m->container.n > 0 ? "container " : "",
                        m->amount ? "" : " utilization (percentage of request)");
}

/* The number that is asked for, and by which metric. False: not known, which is said. A metric that is not known keeps
 * the others from making it smaller. */
static bool ask_all(struct autoscaler *s, int64_t *wish, const char **by)
{
    const struct autoscaler_metric *unknown = NULL, *top = NULL;
    struct autoscaler_rules up, down;
    autoscaler_read_rules(mp_get(s->spec, "behavior"), true, &up);
    autoscaler_read_rules(mp_get(s->spec, "behavior"), false, &down);
    const struct autoscaler_tolerance tolerance = {up.tolerance, down.tolerance};
    for (unsigned i = 0; i < s->metrics_count; i++) {
        struct autoscaler_metric *m = &s->metrics[i];
        autoscaler_ask(s->a, m, s->current, &tolerance);
        if (m->unknown != NULL) {
            unknown = unknown == NULL ? m : unknown;
        } else if (top == NULL || m->replicas > top->replicas) {
            top = m;
        }
    }
    set_metrics(s);
    if (top == NULL || (unknown != NULL && top->replicas < s->current)) {
        const char *reason = unknown != NULL && unknown->container.n > 0 ? "FailedGetContainerResourceMetric"
                                                                         : "FailedGetResourceMetric";
        fail(s, "ScalingActive", reason, reason,
             unknown == NULL ? "it has no metric that can be followed"
                             : arena_printf(s->a, "how many pods are needed is not known: %s", unknown->unknown));
        return false;
    }
    *wish = top->replicas;
    *by = metric_words(s, top);
    say(s, "ScalingActive", "True", "ValidMetricFound", arena_printf(s->a, "a number was found by %s", *by));
    return true;
}

static int follow_metrics(struct autoscaler *s, struct error *err)
{
    struct autoscaler_rules up, down;
    int64_t wish;
    const char *by;
    if (!ask_all(s, &wish, &by)) {
        set_count(s, "desiredReplicas", s->current);
        return 0;
    }
    autoscaler_read_rules(mp_get(s->spec, "behavior"), true, &up);
    autoscaler_read_rules(mp_get(s->spec, "behavior"), false, &down);
    struct autoscaler_bound b =
        autoscaler_bind(&s->memory, s->in->wall_ms, s->current, wish, s->least, s->most, &up, &down);
    say(s, "ScalingLimited", b.limited ? "True" : "False", b.limited_reason, b.limited_message);
    set_count(s, "desiredReplicas", b.replicas);
    if (b.replicas == s->current) {
        say(s, "AbleToScale", "True", b.able_reason, b.able_message);
        return 0;
    }
    return scale(s, b.replicas,
                 b.replicas > s->current ? arena_printf(s->a, "%s above target", by) : "All metrics below target", err);
}

static int into_bounds(struct autoscaler *s, int64_t to, struct error *err)
{
    bool many = to < s->current;
    say(s, "ScalingLimited", "True", many ? "TooManyReplicas" : "TooFewReplicas",
        many ? "there were more pods than maxReplicas" : "there were fewer pods than minReplicas");
    set_count(s, "desiredReplicas", to);
    return scale(s, to,
                 many ? "Current number of replicas above Spec.MaxReplicas"
                      : "Current number of replicas below Spec.MinReplicas",
                 err);
}

/* ---- The whole ---- */

static int step(struct autoscaler *s, struct error *err)
{
    s->target = find_target(s);
    if (s->target == NULL) {
        s->memory.advices_count = s->memory.changes_count = 0;
        s->memory.walking = false;
        return 0;
    }
    struct str able = value_path_str(condition_get(s->status, "AbleToScale"), "reason");
    if (able.n == 0 || str_is(able, "FailedGetScale")) {
        say(s, "AbleToScale", "True", "SucceededGetScale", "how many pods the target is to have is known");
    }
    s->current = count_bound(mp_int(mp_get(object_spec(s->target), "replicas"), 1));
    s->least = count_bound(mp_int(mp_get(s->spec, "minReplicas"), 1));
    s->most = MAX(count_bound(mp_int(mp_get(s->spec, "maxReplicas"), 1)), s->least);
    set_count(s, "currentReplicas", s->current);
    const struct object *rival = find_rival(s);
    if (s->memory.advices_count == 0) {
        autoscaler_begin(&s->memory, s->in->wall_ms, s->current);
    }
    if (rival != NULL) {
        fail(s, "ScalingActive", "AmbiguousSelector", "AmbiguousSelector",
             arena_printf(s->a, "\"%.*s\" scales the same target; neither does, until there is only one",
                          STR_ARG(rival->name)));
        return 0;
    }
    if (s->current == 0 && s->least > 0) {
        set_count(s, "desiredReplicas", 0);
        say(s, "ScalingActive", "False", "ScalingDisabled", "the target is to have no pods: it is left alone");
        return 0;
    }
    if (s->current < s->least || s->current > s->most) {
        return into_bounds(s, s->current < s->least ? s->least : s->most, err);
    }
    for (struct mp_iter it = mp_iter(mp_get(s->spec, "metrics"));
         s->metrics_count < AUTOSCALER_METRICS_MAX && mp_next(&it);) {
        read_metric(s, it.value);
    }
    return autoscaler_count_pods(s) ? follow_metrics(s, err) : 0;
}

static int autoscaler_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    struct autoscaler *s = arena_alloc(out->arena, sizeof *s);
    s->in = in;
    s->out = out;
    s->a = out->arena;
    s->obj = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (s->obj == NULL || s->obj->deleting) {
        return 0;
    }
    s->spec = object_spec(s->obj);
    s->doc = object_to_value(s->a, s->obj);
    s->status = value_ensure_map(s->a, s->doc, "status");
    autoscaler_recall(&s->memory, s->obj->uid, in->memory);
    autoscaler_date(&s->memory, in->wall_ms);
    int rv = step(s, err);
    if (rv == 0 && s->memory.walking) { /* the rest of the pods first; what was said so far is said again then */
        out->memory = autoscaler_remember(s->a, &s->memory);
        return 0;
    }
    int64_t period_ms = in->soft->usage_period_ms > 0 ? in->soft->usage_period_ms : USAGE_PERIOD_MS;
    requeue_in(out, period_ms);
    out->rest_ms = period_ms; /* its own status does not wake it */
    return rv != 0 ? rv : finish(s, err);
}

static const struct controller_watch watches[] = {{KIND_HORIZONTALPODAUTOSCALER, map_self}, {0, NULL}};
const struct controller controller_horizontalpodautoscaler = {
    .name = "horizontalpodautoscaler", .watches = watches, .reconcile = autoscaler_reconcile};
