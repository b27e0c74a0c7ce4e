/* Cells of tables, as kubectl prints them. They read the object in place and allocate nothing but the text. */
#include <inttypes.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "proto/facts/condition.h"
#include "proto/kinds/kinds.h"

void cell_str(struct buf *out, struct mp v)
{
    struct str s = mp_str(v);
    buf_append_str(out, s.n == 0 ? STR("<none>") : s);
}

void cell_int(struct buf *out, struct mp v)
{
    buf_printf(out, "%" PRId64, mp_int(v, 0));
}

void cell_age(struct buf *out, struct str time, int64_t now_ms)
{
    int64_t then_ms;
    if (timefmt_parse(time, &then_ms)) {
        kind_write_since(out, then_ms, now_ms);
    } else {
        buf_puts(out, "<unknown>");
    }
}

void cell_containers(struct buf *out, struct mp containers, const char *member)
{
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        buf_puts(out, count++ > 0 ? "," : "");
        buf_append_str(out, mp_str(mp_get(it.value, member)));
    }
}

/* ---- Pods ---- */

struct pod_summary {
    struct str reason; /* borrowed, or text below */
    char text[64];
    bool initializing;
    unsigned ready, total;
    int64_t restarts, last_restart_ms; /* 0 = none */
};

static bool is_sidecar(struct mp containers, struct str name)
{
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        if (str_eq(mp_str(mp_get(it.value, "name")), name)) {
            return str_is(mp_str(mp_get(it.value, "restartPolicy")), "Always");
        }
    }
    return false;
}

static void count_restarts(struct pod_summary *s, struct mp status)
{
    int64_t ms;
    s->restarts += mp_int(mp_get(status, "restartCount"), 0);
    if (timefmt_parse(mp_str(mp_path(status, "lastState.terminated.finishedAt")), &ms) && ms > s->last_restart_ms) {
        s->last_restart_ms = ms;
    }
}

/* Why a container ended, in one word. */
static void ended_reason(struct pod_summary *s, struct mp terminated, const char *prefix)
{
    struct str reason = mp_str(mp_get(terminated, "reason"));
    int64_t signal = mp_int(mp_get(terminated, "signal"), 0);
    if (reason.n > 0) {
        snprintf(s->text, sizeof(s->text), "%s%.*s", prefix, STR_ARG(reason));
    } else if (signal != 0) {
        snprintf(s->text, sizeof(s->text), "%sSignal:%" PRId64, prefix, signal);
    } else {
        snprintf(s->text, sizeof(s->text), "%sExitCode:%" PRId64, prefix, mp_int(mp_get(terminated, "exitCode"), 0));
    }
    s->reason = str_of(s->text);
}

/* Returns true if this init container is the one that the pod waits for. */
static bool summarize_init(struct pod_summary *s, struct mp spec, struct mp status, unsigned index)
{
    struct mp state = mp_get(status, "state"), ended = mp_get(state, "terminated");
    bool sidecar = is_sidecar(mp_get(spec, "initContainers"), mp_str(mp_get(status, "name")));
    struct str waiting = mp_str(mp_path(state, "waiting.reason"));
    if (mp_type(ended) == MP_MAP && mp_int(mp_get(ended, "exitCode"), 0) == 0) {
        return false;
    }
    if (sidecar && mp_bool(mp_get(status, "started"), false)) {
        s->ready += mp_bool(mp_get(status, "ready"), false);
        return false;
    }
    if (mp_type(ended) == MP_MAP) {
        ended_reason(s, ended, "Init:");
    } else if (waiting.n > 0 && !str_is(waiting, "PodInitializing")) {
        snprintf(s->text, sizeof(s->text), "Init:%.*s", STR_ARG(waiting));
    } else {
        snprintf(s->text, sizeof(s->text), "Init:%u/%u", index, mp_count(mp_get(spec, "initContainers")));
    }
    s->reason = str_of(s->text);
    return true;
}

static void summarize_inits(struct pod_summary *s, struct mp spec, struct mp status)
{
    unsigned index = 0;
    for (struct mp_iter it = mp_iter(mp_get(status, "initContainerStatuses")); mp_next(&it); index++) {
        count_restarts(s, it.value);
        if (!s->initializing) {
            s->initializing = summarize_init(s, spec, it.value, index);
        }
    }
}

/* Once initialized, only restarts of sidecars and containers count. */
static void keep_sidecar_restarts(struct pod_summary *s, struct mp spec, struct mp status)
{
    s->restarts = s->last_restart_ms = 0;
    for (struct mp_iter it = mp_iter(mp_get(status, "initContainerStatuses")); mp_next(&it);) {
        if (is_sidecar(mp_get(spec, "initContainers"), mp_str(mp_get(it.value, "name")))) {
            count_restarts(s, it.value);
        }
    }
}

/* The first container that waits or has ended gives the reason. */
static void summarize_containers(struct pod_summary *s, struct mp status)
{
    bool found = false, running = false;
    for (struct mp_iter it = mp_iter(mp_get(status, "containerStatuses")); mp_next(&it);) {
        struct mp state = mp_get(it.value, "state"), ended = mp_get(state, "terminated");
        struct str waiting = mp_str(mp_path(state, "waiting.reason"));
        count_restarts(s, it.value);
        if (waiting.n > 0 && !found) {
            s->reason = waiting;
            found = true;
        } else if (mp_type(ended) == MP_MAP && !found) {
            ended_reason(s, ended, "");
            found = true;
        }
        if (mp_type(mp_get(state, "running")) == MP_MAP && mp_bool(mp_get(it.value, "ready"), false)) {
            running = true;
            s->ready++;
        }
    }
    /* One has done its work and another goes on: the pod runs. */
    if (running && str_is(s->reason, "Completed")) {
        s->reason = condition_is(condition_in(mp_get(status, "conditions"), STR("Ready")), "True") ? STR("Running")
                                                                                                   : STR("NotReady");
    }
}

static bool is_gated(struct mp status)
{
    struct mp c = condition_in(mp_get(status, "conditions"), STR("PodScheduled"));
    return str_is(mp_str(mp_get(c, "reason")), "SchedulingGated");
}

static void pod_summarize(struct pod_summary *s, const struct object *o)
{
    struct mp spec = mp_get(object_mp(o), "spec"), status = mp_get(object_mp(o), "status");
    struct str phase = mp_str(mp_get(status, "phase")), reason = mp_str(mp_get(status, "reason"));
    *s = (struct pod_summary){.reason = reason.n > 0 ? reason : phase, .total = mp_count(mp_get(spec, "containers"))};
    for (struct mp_iter it = mp_iter(mp_get(spec, "initContainers")); mp_next(&it);) {
        s->total += str_is(mp_str(mp_get(it.value, "restartPolicy")), "Always");
    }
    if (is_gated(status)) {
        s->reason = STR("SchedulingGated");
    }
    summarize_inits(s, spec, status);
    if (!s->initializing || condition_is(condition_in(mp_get(status, "conditions"), STR("Initialized")), "True")) {
        keep_sidecar_restarts(s, spec, status);
        summarize_containers(s, status);
    }
    if (o->deleting && str_is(reason, "NodeLost")) {
        s->reason = STR("Unknown");
    } else if (o->deleting && !in_choices(phase, "Succeeded|Failed")) {
        s->reason = STR("Terminating");
    }
}

void pod_cell_ready(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct pod_summary s;
    pod_summarize(&s, o);
    buf_printf(out, "%u/%u", s.ready, s.total);
}

void pod_cell_status(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct pod_summary s;
    pod_summarize(&s, o);
    buf_append_str(out, s.reason.n == 0 ? STR("Unknown") : s.reason);
}

void pod_cell_restarts(struct buf *out, const struct object *o, int64_t now_ms)
{
    struct pod_summary s;
    pod_summarize(&s, o);
    buf_printf(out, "%" PRId64, s.restarts);
    if (s.restarts > 0 && s.last_restart_ms > 0) {
        buf_puts(out, " (");
        kind_write_since(out, s.last_restart_ms, now_ms);
        buf_puts(out, " ago)");
    }
}

void pod_cell_ip(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_path(object_mp(o), "status.podIP"));
}

void pod_cell_node(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_path(object_mp(o), "spec.nodeName"));
}

void pod_cell_nominated(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_path(object_mp(o), "status.nominatedNodeName"));
}

void pod_cell_gates(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp gates = mp_path(object_mp(o), "spec.readinessGates");
    unsigned fulfilled = 0;
    for (struct mp_iter it = mp_iter(gates); mp_next(&it);) {
        struct str type = mp_str(mp_get(it.value, "conditionType"));
        fulfilled += condition_is(condition_in(mp_path(object_mp(o), "status.conditions"), type), "True");
    }
    if (mp_count(gates) == 0) {
        buf_puts(out, "<none>");
    } else {
        buf_printf(out, "%u/%u", fulfilled, mp_count(gates));
    }
}
