/* From what pods use to how many there should be. No floating point: ratios stay fractions.
 *
 * Everything starts from the number that the target is to have (spec.replicas), never from how many pods there are:
 * those of a rollout's surge would be taken for a wish (k8s#84142, #89465, #90461, #138505). Pods that are to be there
 * and are not yet count as pods that are not ready. */
#include "controllers/workloads/autoscaler.h"
#include "proto/model/quantity.h"

__extension__ typedef __int128 wide;

static int64_t bounded(wide n)
{
    return n > INT64_MAX ? INT64_MAX : n < INT64_MIN ? INT64_MIN : (int64_t)n;
}

/* ---- One metric ---- */

struct total {
    wide used, requested;
    int64_t pods;
};

/* In percent, or the amount of a pod. */
static int64_t level(const struct autoscaler_metric *m, const struct total *t)
{
    return bounded(m->amount ? t->used / t->pods : t->used * 100 / t->requested);
}

static bool tolerable(const struct autoscaler_metric *m, int64_t is, const struct autoscaler_tolerance *t)
{
    wide off = ((wide)is - m->target) * 1000;
    return off <= (wide)t->up * m->target && -off <= (wide)t->down * m->target;
}

/* What pods whose usage is not known, or says nothing yet, are taken for: whatever changes least. Less than the target:
 * they use all that they request, or the target if that is more; more: nothing. */
static void assume(const struct autoscaler_metric *m, int64_t is, int64_t absent, struct total *t)
{
    const struct autoscaler_sum *sum = &m->sum;
    int64_t known = sum->counted + (int64_t)sum->missing + sum->unready;
    wide absent_requested =
        known == 0 ? 0 : ((wide)sum->requested + sum->missing_requested + sum->unready_requested) * absent / known;
    if (sum->missing > 0) {
        t->pods += sum->missing;
        t->requested += sum->missing_requested;
        if (is < m->target) {
            t->used += m->amount ? (wide)m->target * sum->missing
                                 : (wide)sum->missing_requested * MAX(m->target, (int64_t)100) / 100;
        }
    }
    if (is > m->target) {
        t->pods += sum->unready + absent;
        t->requested += (wide)sum->unready_requested + absent_requested;
    }
}

static const char *word(const struct autoscaler_metric *m)
{
    return m->cpu ? "cpu" : "memory";
}

void autoscaler_ask(struct arena *a, struct autoscaler_metric *m, int64_t current,
                    const struct autoscaler_tolerance *tolerance)
{
    const struct autoscaler_sum *sum = &m->sum;
    int64_t there = sum->counted + (int64_t)sum->missing + sum->unready;
    m->replicas = current;
    if (sum->lacks_request) {
        m->unknown =
            arena_printf(a, "missing request for %s in container %s of pod %s", word(m), sum->container, sum->pod);
        return;
    }
    if (sum->counted == 0) {
        m->unknown = there == 0 ? "the target has no pods yet"
                     : sum->unready > 0
                         ? arena_printf(a,
                                        "no %s usage counts yet: %u of %lld pods are not ready, %u have no "
                                        "sample",
                                        word(m), sum->unready, (long long)there, sum->missing)
                         : arena_printf(a, "no samples of %s usage are known of the target's pods", word(m));
        return;
    }
    struct total t = {sum->used, sum->requested, sum->counted};
    int64_t is = level(m, &t);
    m->mean = sum->used / sum->counted;
    m->percent = m->amount ? 0 : is;
    int64_t absent = MAX(current - there, (int64_t)0);
    bool up = is > m->target;
    if (tolerable(m, is, tolerance)) {
        return;
    }
    assume(m, is, absent, &t);
    int64_t then = level(m, &t);
    if (tolerable(m, then, tolerance) || (then > m->target) != up) {
        return; /* not sure of the direction any more */
    }
    m->replicas = bounded(((wide)then * current + m->target - 1) / m->target);
}

/* ---- Rules ---- */

static void default_policies(struct autoscaler_rules *r, bool up)
{
    if (up) {
        r->policies[r->count++] = (struct autoscaler_policy){.value = 4, .period_s = 15};
    }
    r->policies[r->count++] = (struct autoscaler_policy){.percent = true, .value = 100, .period_s = 15};
}

void autoscaler_read_rules(struct mp behavior, bool up, struct autoscaler_rules *out)
{
    struct mp rules = mp_get(behavior, up ? "scaleUp" : "scaleDown");
    struct str select = mp_str(mp_get(rules, "selectPolicy")), tolerance = mp_str(mp_get(rules, "tolerance"));
    *out = (struct autoscaler_rules){
        .window_s = count_bound(mp_int(mp_get(rules, "stabilizationWindowSeconds"), up ? 0 : AUTOSCALER_WINDOW_S)),
        .tolerance = AUTOSCALER_TOLERANCE,
        .disabled = str_is(select, "Disabled"),
        .least = str_is(select, "Min")};
    if (tolerance.n > 0 && quantity_milli(tolerance, &out->tolerance)) {
        out->tolerance = count_bound(out->tolerance);
    }
    for (struct mp_iter it = mp_iter(mp_get(rules, "policies"));
         out->count < ARRAY_SIZE(out->policies) && mp_next(&it);) {
        out->policies[out->count++] =
            (struct autoscaler_policy){.percent = str_is(mp_str(mp_get(it.value, "type")), "Percent"),
                                       .value = count_bound(mp_int(mp_get(it.value, "value"), 0)),
                                       .period_s = count_bound(mp_int(mp_get(it.value, "periodSeconds"), 0))};
    }
    if (out->count == 0) {
        default_policies(out, up);
    }
}

/* ---- What was before ---- */

void autoscaler_begin(struct autoscaler_memory *m, int64_t now_ms, int64_t current)
{
    m->advices[0] = (struct autoscaler_advice){now_ms, current, current};
    m->advices_count = 1;
    m->changes_count = 0;
}

void autoscaler_date(struct autoscaler_memory *m, int64_t now_ms)
{
    for (unsigned i = 0; i < m->advices_count; i++) {
        m->advices[i].at_ms = MIN(m->advices[i].at_ms, now_ms);
    }
    for (unsigned i = 0; i < m->changes_count; i++) {
        m->changes[i].at_ms = MIN(m->changes[i].at_ms, now_ms);
    }
}

/* Advices of about the same time are one: so the memory is bounded, and a window is at most that much longer. */
static void note_advice(struct autoscaler_memory *m, int64_t now_ms, int64_t replicas, int64_t window_ms)
{
    unsigned old = 0;
    while (old < m->advices_count && m->advices[old].at_ms < now_ms - window_ms) {
        old++;
    }
    m->advices_count -= old;
    memmove(m->advices, m->advices + old, m->advices_count * sizeof *m->advices);
    struct autoscaler_advice *last = m->advices_count == 0 ? NULL : &m->advices[m->advices_count - 1];
    int64_t grain_ms = window_ms / (AUTOSCALER_RECORDS_MAX - 2) + 1;
    bool begins = m->advices_count < 2 || last->at_ms / grain_ms != now_ms / grain_ms;
    if (begins && m->advices_count < AUTOSCALER_RECORDS_MAX) {
        m->advices[m->advices_count++] = (struct autoscaler_advice){now_ms, replicas, replicas};
    } else {
        last->at_ms = now_ms;
        last->least = MIN(last->least, replicas);
        last->most = MAX(last->most, replicas);
    }
}

void autoscaler_note_change(struct autoscaler_memory *m, int64_t now_ms, int64_t by, int64_t longest_s)
{
    unsigned old = 0;
    while (old < m->changes_count && m->changes[old].at_ms <= now_ms - longest_s * 1000) {
        old++;
    }
    m->changes_count -= old;
    memmove(m->changes, m->changes + old, m->changes_count * sizeof *m->changes);
    if (m->changes_count == AUTOSCALER_RECORDS_MAX) { /* many changes by hand of the spec: the newest counts for two */
        struct autoscaler_change *last = &m->changes[m->changes_count - 1];
        *last = (struct autoscaler_change){now_ms, last->by + by};
    } else {
        m->changes[m->changes_count++] = (struct autoscaler_change){now_ms, by};
    }
}

/* How many there were when the period began. */
static int64_t at_start_of(const struct autoscaler_memory *m, int64_t now_ms, int64_t current, int64_t period_s)
{
    for (unsigned i = 0; i < m->changes_count; i++) {
        current -= m->changes[i].at_ms > now_ms - period_s * 1000 ? m->changes[i].by : 0;
    }
    return count_bound(current);
}

/* ---- Bounds ---- */

static int64_t bound_up(const struct autoscaler_memory *m, int64_t now_ms, int64_t current,
                        const struct autoscaler_rules *r)
{
    int64_t bound = r->least ? INT64_MAX : INT64_MIN;
    for (unsigned i = 0; i < r->count && !r->disabled; i++) {
        const struct autoscaler_policy *p = &r->policies[i];
        int64_t start = at_start_of(m, now_ms, current, p->period_s);
        int64_t to = p->percent ? bounded(((wide)start * (100 + p->value) + 99) / 100) : start + p->value;
        bound = r->least ? MIN(bound, to) : MAX(bound, to);
    }
    return r->disabled ? current : MAX(bound, current);
}

static int64_t bound_down(const struct autoscaler_memory *m, int64_t now_ms, int64_t current,
                          const struct autoscaler_rules *r)
{
    int64_t bound = r->least ? INT64_MIN : INT64_MAX;
    for (unsigned i = 0; i < r->count && !r->disabled; i++) {
        const struct autoscaler_policy *p = &r->policies[i];
        int64_t start = at_start_of(m, now_ms, current, p->period_s);
        int64_t to = p->percent ? bounded((wide)start * MAX(100 - p->value, (int64_t)0) / 100) : start - p->value;
        bound = r->least ? MAX(bound, to) : MIN(bound, to);
    }
    return r->disabled ? current : MIN(bound, current);
}

/* The lowest of the window on the way up, the highest on the way down; between them it stays as it is. */
static int64_t steady(const struct autoscaler_memory *m, int64_t now_ms, int64_t current, int64_t wish,
                      const struct autoscaler_rules *up, const struct autoscaler_rules *down)
{
    int64_t lowest = wish, highest = wish;
    for (unsigned i = 0; i < m->advices_count; i++) {
        const struct autoscaler_advice *r = &m->advices[i];
        lowest = r->at_ms > now_ms - up->window_s * 1000 ? MIN(lowest, r->least) : lowest;
        highest = r->at_ms > now_ms - down->window_s * 1000 ? MAX(highest, r->most) : highest;
    }
    return MIN(MAX(current, lowest), highest);
}

static void limit(struct autoscaler_bound *b, int64_t replicas, const char *reason, const char *message)
{
    b->replicas = replicas;
    b->limited = true;
    b->limited_reason = reason;
    b->limited_message = message;
}

struct autoscaler_bound autoscaler_bind(struct autoscaler_memory *m, int64_t now_ms, int64_t current, int64_t wish,
                                        int64_t least, int64_t most, const struct autoscaler_rules *up,
                                        const struct autoscaler_rules *down)
{
    struct autoscaler_bound b = {.able_reason = "ReadyForNewScale",
                                 .able_message = "what is recommended is what there is",
                                 .limited_reason = "DesiredWithinRange",
                                 .limited_message = "the number that is asked for lies within the bounds"};
    wish = count_bound(wish);
    b.replicas = steady(m, now_ms, current, wish, up, down);
    note_advice(m, now_ms, wish, MAX(up->window_s, down->window_s) * 1000);
    if (b.replicas > wish) {
        b.able_reason = "ScaleDownStabilized";
        b.able_message = "more was recommended a while ago: the highest of the window counts";
    } else if (b.replicas < wish) {
        b.able_reason = "ScaleUpStabilized";
        b.able_message = "less was recommended a while ago: the lowest of the window counts";
    }
    int64_t top = bound_up(m, now_ms, current, up), bottom = bound_down(m, now_ms, current, down);
    if (b.replicas > current && b.replicas > MIN(top, most)) {
        bool fast = top < most;
        limit(&b, MIN(top, most), fast ? "ScaleUpLimit" : "TooManyReplicas",
              fast ? "more is asked for than the policies of scaleUp allow at once"
                   : "more is asked for than maxReplicas");
    } else if (b.replicas < current && b.replicas < MAX(bottom, least)) {
        bool fast = bottom > least;
        limit(&b, MAX(bottom, least), fast ? "ScaleDownLimit" : "TooFewReplicas",
              fast ? "less is asked for than the policies of scaleDown allow at once"
                   : "less is asked for than minReplicas");
    }
    return b;
}
