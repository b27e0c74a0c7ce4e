/* HorizontalPodAutoscaler for people: cells and description, as kubectl has them. */
#include <inttypes.h>

#include "proto/describe/parts.h"
#include "proto/kinds/horizontalpodautoscaler.h"

#define CELL_METRICS 2u /* in one cell; the others are counted */

/* A metric as the spec has it, and what stands in the status beside it. */
struct metric_text {
    struct mp source, current; /* current: empty = not known */
    struct str name, container;
};

static struct mp source_of(struct mp metric)
{
    struct mp source = mp_get(metric, "resource");
    return mp_type(source) == MP_MAP ? source : mp_get(metric, "containerResource");
}

static struct metric_text metric_read(const struct object *o, struct mp metric)
{
    struct metric_text t = {.source = source_of(metric)};
    t.name = mp_str(mp_get(t.source, "name"));
    t.container = mp_str(mp_get(t.source, "container"));
    for (struct mp_iter it = mp_iter(mp_get(object_status(o), "currentMetrics")); mp_next(&it);) {
        struct mp s = source_of(it.value);
        if (str_eq(mp_str(mp_get(s, "name")), t.name) && str_eq(mp_str(mp_get(s, "container")), t.container)) {
            t.current = mp_get(s, "current");
        }
    }
    return t;
}

/* "50%", "100m"; of a target or of what is. */
static void write_amount(struct buf *out, struct mp m, bool amount)
{
    struct str text = mp_str(mp_get(m, "averageValue"));
    struct mp percent = mp_get(m, "averageUtilization");
    if (amount && text.n > 0) {
        buf_append_str(out, text);
    } else if (!amount && mp_type(percent) == MP_INT) {
        buf_printf(out, "%" PRId64 "%%", mp_int(percent, 0));
    } else {
        buf_puts(out, "<unknown>");
    }
}

static bool by_amount(const struct metric_text *t)
{
    return mp_type(mp_path(t->source, "target.averageValue")) == MP_STR;
}

void hpa_cell_reference(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp ref = mp_get(object_spec(o), "scaleTargetRef");
    struct str kind = mp_str(mp_get(ref, "kind")), name = mp_str(mp_get(ref, "name"));
    buf_printf(out, "%.*s/%.*s", STR_ARG(kind), STR_ARG(name));
}

void hpa_cell_targets(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(o), "metrics")); mp_next(&it); count++) {
        struct metric_text t = metric_read(o, it.value);
        if (count >= CELL_METRICS) {
            continue;
        }
        buf_printf(out, "%s%.*s: ", count > 0 ? ", " : "", STR_ARG(t.name));
        write_amount(out, t.current, by_amount(&t));
        buf_putc(out, '/');
        write_amount(out, mp_get(t.source, "target"), by_amount(&t));
    }
    if (count > CELL_METRICS) {
        buf_printf(out, " + %u more...", count - CELL_METRICS);
    } else if (count == 0) {
        buf_puts(out, "<none>");
    }
}

void hpa_cell_min(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp least = mp_get(object_spec(o), "minReplicas");
    if (mp_type(least) == MP_INT) {
        cell_int(out, least);
    } else {
        buf_puts(out, "<unset>");
    }
}

void hpa_cell_max(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_get(object_spec(o), "maxReplicas"));
}

void hpa_cell_replicas(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_int(out, mp_get(object_status(o), "currentReplicas"));
}

/* ---- Description ---- */

#define WIDTH 52

static void describe_metric(struct buf *out, const struct metric_text *t)
{
    CLEANUP_BUF struct buf label = BUF_INIT;
    bool amount = by_amount(t);
    buf_printf(&label, "resource %.*s ", STR_ARG(t->name));
    if (t->container.n > 0) {
        buf_printf(&label, "of container \"%.*s\" ", STR_ARG(t->container));
    }
    buf_puts(&label, amount ? "on pods:" : "on pods  (as a percentage of request):");
    describe_label(out, 1, WIDTH - DESCRIBE_TAB, buf_cstr(&label));
    if (label.size >= WIDTH - DESCRIBE_TAB) {
        buf_puts(out, "  ");
    }
    write_amount(out, t->current, amount);
    struct str used = mp_str(mp_get(t->current, "averageValue"));
    if (!amount && used.n > 0) {
        buf_printf(out, " (%.*s)", STR_ARG(used));
    }
    buf_puts(out, " / ");
    write_amount(out, mp_get(t->source, "target"), amount);
    buf_putc(out, '\n');
}

static void describe_rules(struct buf *out, struct mp rules, const char *label, int64_t window_s)
{
    struct str select = mp_str(mp_get(rules, "selectPolicy")), tolerance = mp_str(mp_get(rules, "tolerance"));
    if (mp_type(rules) != MP_MAP) {
        return;
    }
    buf_printf(out, "  %s:\n", label);
    buf_printf(out, "    Stabilization Window: %" PRId64 " seconds\n",
               mp_int(mp_get(rules, "stabilizationWindowSeconds"), window_s));
    if (tolerance.n > 0) {
        buf_printf(out, "    Tolerance: %.*s\n", STR_ARG(tolerance));
    }
    buf_printf(out, "    Select Policy: %.*s\n", STR_ARG(select.n > 0 ? select : STR("Max")));
    buf_puts(out, "    Policies:\n");
    for (struct mp_iter it = mp_iter(mp_get(rules, "policies")); mp_next(&it);) {
        struct str type = mp_str(mp_get(it.value, "type"));
        buf_printf(out, "      - Type: %-7.*s  Value: %" PRId64 "  Period: %" PRId64 " seconds\n", STR_ARG(type),
                   mp_int(mp_get(it.value, "value"), 0), mp_int(mp_get(it.value, "periodSeconds"), 0));
    }
}

void hpa_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), spec = object_spec(o), status = object_status(o), b = mp_get(spec, "behavior");
    struct str kind = mp_str(mp_path(spec, "scaleTargetRef.kind"));
    CLEANUP_BUF struct buf label = BUF_INIT;
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_text(out, 0, WIDTH, "Namespace:", o->ns);
    describe_map(out, 0, WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_map(out, 0, WIDTH, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    describe_time(out, 0, WIDTH, "CreationTimestamp:", mp_str(mp_path(m, "metadata.creationTimestamp")));
    describe_label(out, 0, WIDTH, "Reference:");
    hpa_cell_reference(out, o, 0);
    buf_putc(out, '\n');
    describe_text(out, 0, WIDTH, "Metrics:", STR("( current / target )"));
    for (struct mp_iter it = mp_iter(mp_get(spec, "metrics")); mp_next(&it);) {
        struct metric_text t = metric_read(o, it.value);
        describe_metric(out, &t);
    }
    describe_label(out, 0, WIDTH, "Min replicas:");
    hpa_cell_min(out, o, 0);
    buf_putc(out, '\n');
    describe_label(out, 0, WIDTH, "Max replicas:");
    hpa_cell_max(out, o, 0);
    buf_putc(out, '\n');
    if (mp_type(b) == MP_MAP) {
        buf_puts(out, "Behavior:\n");
        describe_rules(out, mp_get(b, "scaleUp"), "Scale Up", 0);
        describe_rules(out, mp_get(b, "scaleDown"), "Scale Down", 300);
    }
    buf_printf(&label, "%.*s pods:", STR_ARG(kind));
    describe_label(out, 0, WIDTH, buf_cstr(&label));
    buf_printf(out, "%" PRId64 " current / %" PRId64 " desired\n", mp_int(mp_get(status, "currentReplicas"), 0),
               mp_int(mp_get(status, "desiredReplicas"), 0));
    struct str last = mp_str(mp_get(status, "lastScaleTime"));
    if (last.n > 0) {
        describe_time(out, 0, WIDTH, "Last scaled:", last);
    }
    bool any = false;
    for (struct mp_iter it = mp_iter(mp_get(status, "conditions")); mp_next(&it); any = true) {
        struct str type = mp_str(mp_get(it.value, "type")), is = mp_str(mp_get(it.value, "status")),
                   reason = mp_str(mp_get(it.value, "reason")), message = mp_str(mp_get(it.value, "message"));
        if (!any) {
            buf_printf(out, "Conditions:\n  %-15s %-7s %-24s %s\n  %-15s %-7s %-24s %s\n", "Type", "Status", "Reason",
                       "Message", "----", "------", "------", "-------");
        }
        buf_printf(out, "  %-15.*s %-7.*s %-24.*s %.*s\n", STR_ARG(type), STR_ARG(is), STR_ARG(reason),
                   STR_ARG(message));
    }
    describe_events(out, c);
}
