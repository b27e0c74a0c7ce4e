#include "agent/pod/status.h"

#include <assert.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "proto/facts/condition.h"

static void set_text(struct arena *a, struct value *map, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        value_set(a, map, key, value_cstr(a, text));
    }
}

const char *status_container_id(const struct container *c, unsigned attempt, struct arena *a)
{
    char id[RUNTIME_ID_MAX];
    runtime_container_id(id, c->pod->spec->uid, c->spec->name, attempt);
    return arena_printf(a, "%s://%s", c->pod->node->runtime_name, id);
}

/* ---- Phase ---- */

static bool runs(const struct container *c)
{
    return c->has_run && !c->end.set;
}

static bool all_ended(const struct pod *p)
{
    for (unsigned i = 0; i < p->spec->count; i++) {
        if (p->containers[i]->state != CONTAINER_DONE) {
            return false;
        }
    }
    return true;
}

/* Init containers first; then pending while a container has never run; running while one runs or will again. */
static const char *phase_of_containers(const struct pod *p)
{
    unsigned waiting = 0, running = 0, stopped = 0, succeeded = 0;
    for (unsigned i = p->spec->init_count; i < p->spec->main_count; i++) {
        const struct container *c = p->containers[i];
        if (runs(c)) {
            running++;
        } else if (!c->has_run) {
            waiting++;
        } else {
            stopped++;
            succeeded += c->end.exit_code == 0 && !c->failed_by_us;
        }
    }
    if (waiting > 0) {
        return p->state >= POD_CLEANING && !p->deleting ? "Failed" : "Pending";
    }
    if (running > 0 || p->spec->restart == PODSPEC_ALWAYS) {
        return "Running";
    }
    if (stopped == succeeded) {
        return "Succeeded";
    }
    return p->spec->restart == PODSPEC_NEVER ? "Failed" : "Running";
}

static bool is_over(const char *phase)
{
    return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

/* A phase that is the last one is told only when nothing of the pod runs any more, sidecars included: others rely on
 * it. */
const char *status_phase(const struct pod *p)
{
    const char *phase = p->failed ? "Failed" : phase_of_containers(p);
    return is_over(phase) && !all_ended(p) ? "Running" : phase;
}

/* ---- Containers ---- */

static struct value *ended_state(const struct container *c, const struct container_end *e, struct arena *a)
{
    struct value *state = value_map(a), *v = value_map(a);
    value_set(a, v, "exitCode", value_int(a, e->exit_code));
    if (e->signal != 0) {
        value_set(a, v, "signal", value_int(a, e->signal));
    }
    set_text(a, v, "reason", e->reason);
    set_text(a, v, "message", e->message);
    if (e->started_ms > 0) {
        value_set(a, v, "startedAt", value_time(a, e->started_ms));
    }
    value_set(a, v, "finishedAt", value_time(a, e->finished_ms));
    value_set(a, v, "containerID", value_cstr(a, status_container_id(c, e->attempt, a)));
    value_set(a, state, "terminated", v);
    return state;
}

static struct value *waiting_state(const struct container *c, struct arena *a)
{
    struct value *state = value_map(a), *v = value_map(a);
    bool waits_for_init = c->pod->spec->init_count > 0 && !c->spec->is_ephemeral;
    const char *fallback = waits_for_init ? "PodInitializing" : "ContainerCreating";
    value_set(a, v, "reason", value_cstr(a, c->reason[0] != '\0' ? c->reason : fallback));
    set_text(a, v, "message", c->message);
    value_set(a, state, "waiting", v);
    return state;
}

/* Waiting for the next attempt with something to say about it. */
static bool waits(const struct container *c)
{
    return c->state != CONTAINER_DONE && c->reason[0] != '\0';
}

static struct value *container_status(const struct container *c, struct arena *a)
{
    struct value *v = value_map(a), *state, *last = NULL;
    if (runs(c)) {
        struct value *running = value_map(a);
        value_set(a, running, "startedAt", value_time(a, c->started_wall_ms));
        state = value_map(a);
        value_set(a, state, "running", running);
        last = c->last.set ? ended_state(c, &c->last, a) : NULL;
    } else if (c->end.set && !waits(c)) {
        state = ended_state(c, &c->end, a);
        last = c->last.set ? ended_state(c, &c->last, a) : NULL;
    } else {
        state = waiting_state(c, a);
        last = c->end.set ? ended_state(c, &c->end, a) : NULL;
    }
    value_set(a, v, "name", value_cstr(a, c->spec->name));
    value_set(a, v, "state", state);
    value_set(a, v, "lastState", last != NULL ? last : value_map(a));
    /* Init containers that are through count as ready. */
    bool through = c->spec->is_init && !c->spec->is_sidecar && container_succeeded(c);
    value_set(a, v, "ready", value_bool(a, (c->ready && !c->spec->is_ephemeral) || through));
    value_set(a, v, "restartCount", value_int(a, c->has_run ? c->attempt : 0));
    value_set(a, v, "image", value_cstr(a, c->spec->image));
    value_set(a, v, "imageID", value_cstr(a, c->image_id == NULL ? "" : c->image_id));
    if (c->has_run) {
        value_set(a, v, "containerID", value_cstr(a, status_container_id(c, c->attempt, a)));
    }
    if (!c->spec->is_ephemeral) {
        value_set(a, v, "started", value_bool(a, c->started));
    }
    return v;
}

/* ---- Conditions ---- */

enum { INITIALIZED, CONTAINERS_READY, READY };

/* Names of the containers for which `want` does not hold: "[a b]"; NULL if there are none. */
static const char *names_without(const struct pod *p, bool init, bool (*want)(const struct container *),
                                 struct arena *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    for (unsigned i = init ? 0 : p->spec->init_count; i < (init ? p->spec->init_count : p->spec->main_count); i++) {
        if (!want(p->containers[i])) {
            buf_printf(&b, "%s%s", b.size == 0 ? "[" : " ", p->containers[i]->spec->name);
        }
    }
    if (b.size == 0) {
        return NULL;
    }
    buf_putc(&b, ']');
    return arena_strndup(a, (const char *)b.data, b.size);
}

static bool is_initialized(const struct container *c)
{
    return c->spec->is_sidecar ? c->started || c->pod->state >= POD_RUNNING : container_succeeded(c);
}

static bool is_ready(const struct container *c)
{
    return c->ready;
}

static struct value *condition(struct pod *p, int which, const char *type, bool value, const char *reason,
                               const char *message, int64_t wall_ms, struct arena *a)
{
    if (!p->conditions[which].known || p->conditions[which].value != value) {
        p->conditions[which].known = true;
        p->conditions[which].value = value;
        p->conditions[which].since_wall_ms = wall_ms;
    }
    return condition_new(a, type, value ? "True" : "False", p->conditions[which].since_wall_ms, value ? NULL : reason,
                         value ? NULL : message);
}

static struct mp status_of(const struct pod *p)
{
    return mp_get(object_mp(p->latest != NULL ? p->latest : p->spec->object), "status");
}

/* Readiness gates: conditions that others set in the object. */
static const char *closed_gate(const struct pod *p, struct arena *a)
{
    struct mp object = object_mp(p->spec->object);
    for (struct mp_iter g = mp_iter(mp_path(object, "spec.readinessGates")); mp_next(&g);) {
        struct str type = mp_str(mp_get(g.value, "conditionType"));
        struct mp c = condition_in(mp_get(status_of(p), "conditions"), type);
        if (!condition_is(c, "True")) {
            return arena_printf(a,
                                "corresponding condition of pod readiness gate \"%.*s\" does not exist or is not True.",
                                STR_ARG(type));
        }
    }
    return NULL;
}

#define PIDS_LIMIT "reeve.io/PidsLimit" /* Kubernetes has none: there a pod fails to fork in silence */

#define CLEAN_UP   "reeve.io/CleanUpFailed" /* likewise: there it is in the kubelet's log */

#define DISRUPTED  "DisruptionTarget"

static bool is_ours(struct str type)
{
    return str_is(type, CLEAN_UP) || str_is(type, "Initialized") || str_is(type, "Ready") ||
           str_is(type, "ContainersReady") || str_is(type, PIDS_LIMIT);
}

/* A pod adopted after the agent's restart: its conditions have been as they are since then. */
static void recall(struct pod *p)
{
    static const char *const types[] = {"Initialized", "ContainersReady", "Ready"};
    for (struct mp_iter it = mp_iter(mp_get(status_of(p), "conditions")); mp_next(&it);) {
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
            int64_t since;
            if (!p->conditions[i].known && str_is(mp_str(mp_get(it.value, "type")), types[i]) &&
                timefmt_parse(mp_str(mp_get(it.value, "lastTransitionTime")), &since)) {
                p->conditions[i].known = true;
                p->conditions[i].value = str_is(mp_str(mp_get(it.value, "status")), "True");
                p->conditions[i].since_wall_ms = since;
            }
        }
    }
}

static struct value *conditions(struct pod *p, const char *phase, int64_t wall_ms, struct arena *a)
{
    struct value *list = value_list(a);
    recall(p);
    bool completed = strcmp(phase, "Succeeded") == 0, over = is_over(phase);
    const char *uninit = p->state >= POD_RUNNING && !p->failed ? NULL : names_without(p, true, is_initialized, a);
    const char *unready = names_without(p, false, is_ready, a);
    const char *reason = completed ? "PodCompleted" : over ? "PodFailed" : "ContainersNotReady";
    const char *message =
        over || unready == NULL ? NULL : arena_printf(a, "containers with unready status: %s", unready);
    bool ready = unready == NULL && !over, disrupted = p->preempted || p->relieves;
    const char *gate = ready ? closed_gate(p, a) : NULL;

    value_append(a, list,
                 condition(p, INITIALIZED, "Initialized", uninit == NULL, "ContainersNotInitialized",
                           uninit == NULL ? NULL : arena_printf(a, "containers with incomplete status: %s", uninit),
                           wall_ms, a));
    value_append(a, list,
                 condition(p, READY, "Ready", ready && gate == NULL, gate != NULL ? "ReadinessGatesNotReady" : reason,
                           gate != NULL ? gate : message, wall_ms, a));
    value_append(a, list, condition(p, CONTAINERS_READY, "ContainersReady", ready, reason, message, wall_ms, a));
    for (struct mp_iter it = mp_iter(mp_get(status_of(p), "conditions")); mp_next(&it);) {
        struct value *kept;
        struct str type = mp_str(mp_get(it.value, "type"));
        if (!is_ours(type) && !(disrupted && str_is(type, DISRUPTED)) &&
            msgpack_read_value(a, it.value.p, (size_t)(it.value.end - it.value.p), &kept, NULL) == 0) {
            value_append(a, list, kept);
        }
    }
    if (disrupted) {
        value_append(a, list,
                     condition_new(a, DISRUPTED, "True", p->disrupted_wall_ms, "TerminationByKubelet",
                                   p->relieves ? p->fail_message
                                               : "Pod was preempted by its node to accommodate a critical pod."));
    }
    if (p->pids.refused > 0) {
        value_append(a, list,
                     condition_new(a, PIDS_LIMIT, "True", p->pids.since_wall_ms, "ForksRefused",
                                   "the pod had as many processes as it may, and was refused more of them"));
    }
    if (p->clean_error[0] != '\0') {
        value_append(a, list,
                     condition_new(a, CLEAN_UP, "True", p->clean_since_wall_ms,
                                   p->clean_step == POD_CLEAN_VOLUMES ? "VolumesBusy" : "TriedAgain", p->clean_error));
    }
    return list;
}

/* ---- The whole ---- */

static void set_addresses(const struct pod *p, struct value *status, struct arena *a)
{
    const struct {
        const char *one, *many, *ip;
    } rows[] = {{"hostIP", "hostIPs", p->node->facts.host_ip}, {"podIP", "podIPs", p->ip}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].ip == NULL || rows[i].ip[0] == '\0') {
            continue;
        }
        struct value *list = value_list(a), *item = value_map(a);
        value_set(a, item, "ip", value_cstr(a, rows[i].ip));
        value_append(a, list, item);
        value_set(a, status, rows[i].one, value_cstr(a, rows[i].ip));
        value_set(a, status, rows[i].many, list);
    }
}

struct value *status_document(struct pod *p, int64_t wall_ms, struct arena *a)
{
    struct value *status = value_map(a), *inits = value_list(a), *apps = value_list(a), *others = value_list(a);
    const char *phase = status_phase(p);
    assert(!p->status_frozen);
    value_set(a, status, "phase", value_cstr(a, phase));
    value_set(a, status, "conditions", conditions(p, phase, wall_ms, a));
    if (is_over(phase)) {
        set_text(a, status, "reason", p->fail_reason);
        set_text(a, status, "message", p->fail_message);
    }
    set_addresses(p, status, a);
    if (p->start_wall_ms > 0) {
        value_set(a, status, "startTime", value_time(a, p->start_wall_ms));
    }
    for (unsigned i = 0; i < p->spec->count && !p->rejected; i++) {
        struct value *list = i < p->spec->init_count ? inits : i < p->spec->main_count ? apps : others;
        value_append(a, list, container_status(p->containers[i], a));
    }
    if (p->spec->init_count > 0 && !p->rejected) {
        value_set(a, status, "initContainerStatuses", inits);
    }
    if (!p->rejected) {
        value_set(a, status, "containerStatuses", apps);
    }
    if (p->spec->count > p->spec->main_count && !p->rejected) {
        value_set(a, status, "ephemeralContainerStatuses", others);
    }
    value_set(a, status, "qosClass", value_cstr(a, qos_name(p->spec->qos)));
    return status;
}
