#include "agent/pod/container_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define NEVER INT64_MAX

void container_init(struct container *c, struct pod *pod, const struct podspec_container *spec)
{
    *c = (struct container){.pod = pod, .spec = spec, .deadline_ms = NEVER, .stop_by_ms = NEVER};
    backoff_init(&c->crash, BACKOFF_CONTAINER_BASE_MS, BACKOFF_CONTAINER_MAX_MS);
    backoff_init(&c->pull, BACKOFF_CONTAINER_BASE_MS, BACKOFF_CONTAINER_MAX_MS);
}

void container_close(struct container *c)
{
    free(c->message);
    free(c->end.message);
    free(c->last.message);
    free(c->image_id);
}

/* ---- Pure questions ---- */

bool container_is_running(const struct container *c)
{
    return c->state == CONTAINER_STARTING || (c->state >= CONTAINER_POST_START && c->state <= CONTAINER_KILLING);
}

bool container_succeeded(const struct container *c)
{
    return c->state == CONTAINER_DONE && c->end.set && c->end.exit_code == 0 && !c->failed_by_us;
}

unsigned container_next_attempt(const struct container *c)
{
    return c->has_run ? c->attempt + 1 : 0;
}

void container_runtime_id(const struct container *c, unsigned attempt, char out[RUNTIME_ID_MAX])
{
    runtime_container_id(out, c->pod->spec->uid, c->spec->name, attempt);
}

bool container_restarts(enum podspec_restart policy, const struct podspec_container *spec, int exit_code,
                        bool failed_by_us)
{
    bool failed = exit_code != 0 || failed_by_us;
    if (spec->is_ephemeral) {
        return false;
    }
    if (spec->is_sidecar) {
        return true;
    }
    if (spec->is_init) {
        return failed && policy != PODSPEC_NEVER;
    }
    return policy == PODSPEC_ALWAYS || (policy == PODSPEC_ON_FAILURE && failed);
}

const char *container_state_name(enum container_state s)
{
    static const char *const names[CONTAINER_STATES] = {
        "idle",        "pulling",       "pull-error", "pull-backoff",  "config-wait",
        "starting",    "start-backoff", "post-start", "running",       "pre-stop",
        "terminating", "killing",       "exited",     "crash-backoff", "done",
    };
    return names[s];
}

/* ---- Actions ---- */

void container_set_waiting(struct container *c, const char *reason, char *give_message)
{
    snprintf(c->reason, sizeof c->reason, "%s", reason);
    free(c->message);
    c->message = give_message;
}

static void stop_probes(struct container *c)
{
    for (int i = 0; i < PODSPEC_PROBES; i++) {
        probe_stop(&c->probes[i]);
    }
}

/* What is shown as waiting stays until it has started: a retry is not progress. */
static void act_ensure_image(struct container *c)
{
    int64_t patience = c->pod->seen_ms + CONTAINER_REFS_GRACE_MS;
    bool (*lacks)(const struct container *c) = container_ops(c)->pull_lacks;
    if (container_now(c) < patience && lacks != NULL && lacks(c)) {
        container_handle(c, CONTAINER_EV_CONFIG_BAD);
        c->deadline_ms = patience;
        return;
    }
    c->pod->pending++;
    container_ops(c)->image_ensure(c);
}

/* The pause before the next start is counted from this one. */
static void act_restart(struct container *c)
{
    backoff_grow(&c->crash, container_now(c));
    container_set_waiting(c, "", NULL);
    act_ensure_image(c);
}

static void act_start(struct container *c)
{
    struct error err;
    backoff_reset(&c->pull);
    int rv = container_ops(c)->start(c, &err);
    if (rv == 0) {
        c->pod->pending++;
        return;
    }
    int64_t patience = c->pod->seen_ms + CONTAINER_REFS_GRACE_MS;
    container_handle(c, CONTAINER_EV_CONFIG_BAD);
    if (rv == ERR_NOT_FOUND && container_now(c) < patience) {
        c->deadline_ms = patience;
    } else if (rv != ERR_BUSY) {
        pod_event(c->pod, c, true, "Failed", "Error: %s", err.message);
        container_set_waiting(c, "CreateContainerConfigError", xstrdup(err.message));
        c->deadline_ms = container_now(c) + CONTAINER_CONFIG_RETRY_MS;
    }
}

static void act_pull_failed(struct container *c)
{
    backoff_grow(&c->pull, container_now(c));
    c->deadline_ms = container_now(c) + CONTAINER_PULL_ERROR_MS;
}

static void act_pull_backoff(struct container *c)
{
    char shown[IMAGE_REF_MAX];
    image_name_shown(c->spec->image, shown);
    if (strcmp(c->reason, "ErrImagePull") == 0) {
        container_set_waiting(c, "ImagePullBackOff", xasprintf("Back-off pulling image \"%s\"", shown));
    }
    pod_event(c->pod, c, false, "BackOff", "Back-off pulling image \"%s\"", shown);
    if (strcmp(c->reason, "ImagePullBackOff") == 0) {
        pod_event(c->pod, c, true, "Failed", "Error: %s", c->reason);
    }
    c->deadline_ms = container_now(c) + MAX(backoff_left(&c->pull, c->pull.last_ms, container_now(c)), 1);
}

static void act_start_backoff(struct container *c)
{
    c->deadline_ms = container_now(c) + backoff_grow(&c->crash, container_now(c));
}

void container_refresh_ready(struct container *c)
{
    bool has_readiness = c->spec->probes[PODSPEC_READINESS].handler.kind != PODSPEC_HANDLER_NONE;
    c->ready = c->started && (!has_readiness || c->probes[PODSPEC_READINESS].result);
}

void container_start_checks(struct container *c, bool was_ready)
{
    const struct podspec_probe *config = c->spec->probes;
    probe_start(&c->probes[PODSPEC_LIVENESS], &config[PODSPEC_LIVENESS], true, c->started_ms, container_now(c));
    probe_start(&c->probes[PODSPEC_READINESS], &config[PODSPEC_READINESS], was_ready, c->started_ms, container_now(c));
    container_refresh_ready(c);
}

/* The hook is over (or there was none): probes begin; liveness and readiness only when startup has passed. */
static void act_run(struct container *c)
{
    const struct podspec_probe *startup = &c->spec->probes[PODSPEC_STARTUP];
    c->started = startup->handler.kind == PODSPEC_HANDLER_NONE;
    if (c->started) {
        container_start_checks(c, false);
    } else {
        probe_start(&c->probes[PODSPEC_STARTUP], startup, false, c->started_ms, container_now(c));
        c->ready = false;
    }
}

static void act_post_start(struct container *c)
{
    c->pod->pending++;
    container_ops(c)->hook(c, &c->spec->post_start, 0);
}

static void send_kill(struct container *c)
{
    container_ops(c)->kill(c, true);
    c->deadline_ms = container_now(c) + CONTAINER_REKILL_MS;
}

static void act_kill_now(struct container *c)
{
    container_ops(c)->journal(c->pod, c, "stop", c->stop_why);
    send_kill(c);
}

static void act_grace_over(struct container *c)
{
    container_ops(c)->journal(c->pod, c, "stop", "grace period is over");
    send_kill(c);
}

static void act_terminate(struct container *c)
{
    container_ops(c)->journal(c->pod, c, "stop", c->stop_why);
    container_ops(c)->kill(c, false);
    c->deadline_ms = c->stop_by_ms;
}

static void act_pre_stop(struct container *c)
{
    c->token++;
    c->probes[PODSPEC_READINESS].in_flight =
        false; /* that answer has the former token; the next run comes in its time */
    c->pod->pending++;
    c->deadline_ms = c->stop_by_ms;
    container_ops(c)->hook(c, &c->spec->pre_stop, MAX(c->stop_by_ms - container_now(c), 1));
}

static void act_hook_over(struct container *c)
{
    c->stop_by_ms = MAX(c->stop_by_ms, container_now(c) + CONTAINER_MIN_GRACE_MS);
    act_terminate(c);
}

static void act_post_start_failed(struct container *c)
{
    container_stop(c, false, pod_grace_ms(c->pod), "postStart hook failed");
}

/* Less time than before: a deletion with a shorter grace period. */
static void act_hurry(struct container *c)
{
    c->deadline_ms = MIN(c->deadline_ms, c->stop_by_ms);
}

/* What follows an end. */
static void act_decide(struct container *c)
{
    const struct podspec *spec = c->pod->spec;
    int64_t now = container_now(c);
    stop_probes(c);
    c->token++;
    c->started = c->ready = false;
    c->deadline_ms = NEVER;
    if (c->stop_final ||
        !(c->definition_changed || container_restarts(spec->restart, c->spec, c->end.exit_code, c->failed_by_us))) {
        container_handle(c, CONTAINER_EV_FINISH);
        return;
    }
    int64_t left = backoff_left(&c->crash, now, now);
    if (left == 0 || c->definition_changed) {
        c->definition_changed = false;
        container_handle(c, CONTAINER_EV_RETRY);
        return;
    }
    container_handle(c, CONTAINER_EV_BACKOFF);
}

static void act_crash_backoff(struct container *c)
{
    const struct podspec *spec = c->pod->spec;
    int64_t now = container_now(c);
    c->deadline_ms = now + backoff_left(&c->crash, now, now);
    container_set_waiting(c, "CrashLoopBackOff",
                          xasprintf("back-off %llds restarting failed container=%s pod=%s_%s(%s)",
                                    (long long)(c->crash.delay_ms / 1000), c->spec->name, spec->name, spec->ns,
                                    spec->uid));
    pod_event(c->pod, c, true, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", c->spec->name,
              spec->name, spec->ns, spec->uid);
}

/* ---- The machine ---- */

struct cell {
    bool used;
    enum container_state next;
    void (*act)(struct container *c); /* after the state was set; may raise a further event */
};
#define GOTO(s, a)                                                                                                     \
    {                                                                                                                  \
        true, CONTAINER_##s, (a)                                                                                       \
    }

static const struct cell machine[CONTAINER_STATES][CONTAINER_EVENTS] =
    {
        [CONTAINER_IDLE] =
            {
                [CONTAINER_EV_GO] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_STOP] = GOTO(DONE, NULL),
                [CONTAINER_EV_FOUND_RUNNING] = GOTO(RUNNING, act_run),
                [CONTAINER_EV_FOUND_DONE] = GOTO(DONE, NULL),
            },
        [CONTAINER_PULLING] =
            {
                [CONTAINER_EV_PULLED] = GOTO(STARTING, act_start),
                [CONTAINER_EV_PULL_FAILED] = GOTO(PULL_ERROR, act_pull_failed),
                [CONTAINER_EV_CONFIG_BAD] = GOTO(CONFIG_WAIT, NULL), /* nothing was ordered yet */
                [CONTAINER_EV_STOP] = GOTO(DONE, NULL),
            },
        [CONTAINER_PULL_ERROR] =
            {
                [CONTAINER_EV_TIMER] = GOTO(PULL_BACKOFF, act_pull_backoff),
                [CONTAINER_EV_IMAGES] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_STOP] = GOTO(DONE, NULL),
            },
        [CONTAINER_PULL_BACKOFF] =
            {
                [CONTAINER_EV_TIMER] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_IMAGES] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_STOP] = GOTO(DONE, NULL),
            },
        [CONTAINER_CONFIG_WAIT] =
            {
                [CONTAINER_EV_REFS] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_TIMER] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_STOP] = GOTO(DONE, NULL),
            },
        [CONTAINER_STARTING] =
            {
                [CONTAINER_EV_CONFIG_BAD] = GOTO(CONFIG_WAIT, NULL),
                [CONTAINER_EV_STARTED] = GOTO(RUNNING, act_run),
                [CONTAINER_EV_STARTED_HOOK] = GOTO(POST_START, act_post_start),
                [CONTAINER_EV_START_FAILED] = GOTO(START_BACKOFF, act_start_backoff),
                [CONTAINER_EV_EXIT] = GOTO(EXITED, act_decide), /* the program could not be run: an end without a run */
                [CONTAINER_EV_STOP] = GOTO(STARTING, NULL),     /* remembered; container_on_started stops it */
                [CONTAINER_EV_FINISH] = GOTO(DONE, NULL),
            },
        [CONTAINER_START_BACKOFF] =
            {
                [CONTAINER_EV_TIMER] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_REFS] = GOTO(PULLING, act_ensure_image),
                [CONTAINER_EV_STOP] = GOTO(DONE, NULL),
            },
        [CONTAINER_POST_START] =
            {
                [CONTAINER_EV_HOOK_DONE] = GOTO(RUNNING, act_run),
                [CONTAINER_EV_HOOK_FAILED] = GOTO(RUNNING, act_post_start_failed),
                [CONTAINER_EV_STOP] = GOTO(TERMINATING, act_terminate),
                [CONTAINER_EV_STOP_HOOK] = GOTO(PRE_STOP, act_pre_stop),
                [CONTAINER_EV_STOP_NOW] = GOTO(KILLING, act_kill_now),
                [CONTAINER_EV_EXIT] = GOTO(EXITED, act_decide),
            },
        [CONTAINER_RUNNING] =
            {
                [CONTAINER_EV_STOP] = GOTO(TERMINATING, act_terminate),
                [CONTAINER_EV_STOP_HOOK] = GOTO(PRE_STOP, act_pre_stop),
                [CONTAINER_EV_STOP_NOW] = GOTO(KILLING, act_kill_now),
                [CONTAINER_EV_EXIT] = GOTO(EXITED, act_decide),
                [CONTAINER_EV_FOUND_DONE] = GOTO(DONE, NULL), /* the store is sure; cleaning removes what runs */
            },
        [CONTAINER_PRE_STOP] =
            {
                [CONTAINER_EV_HOOK_DONE] = GOTO(TERMINATING, act_hook_over),
                [CONTAINER_EV_HOOK_FAILED] = GOTO(TERMINATING, act_hook_over),
                [CONTAINER_EV_TIMER] = GOTO(TERMINATING, act_hook_over),
                [CONTAINER_EV_STOP] = GOTO(PRE_STOP, act_hurry),
                [CONTAINER_EV_EXIT] = GOTO(EXITED, act_decide),
            },
        [CONTAINER_TERMINATING] =
            {
                [CONTAINER_EV_TIMER] = GOTO(KILLING, act_grace_over),
                [CONTAINER_EV_STOP] = GOTO(TERMINATING, act_hurry),
                [CONTAINER_EV_EXIT] = GOTO(EXITED, act_decide),
            },
        [CONTAINER_KILLING] =
            {
                [CONTAINER_EV_TIMER] = GOTO(KILLING, send_kill),
                [CONTAINER_EV_EXIT] = GOTO(EXITED, act_decide),
            },
        [CONTAINER_EXITED] =
            {
                [CONTAINER_EV_RETRY] = GOTO(PULLING, act_restart),
                [CONTAINER_EV_BACKOFF] = GOTO(CRASH_BACKOFF, act_crash_backoff),
                [CONTAINER_EV_FINISH] = GOTO(DONE, NULL),
            },
        [CONTAINER_CRASH_BACKOFF] =
            {
                [CONTAINER_EV_TIMER] = GOTO(PULLING, act_restart),
                [CONTAINER_EV_STOP] = GOTO(DONE, NULL),
            },
};

static void move(struct container *c, enum container_state next)
{
    if (next == c->state) {
        return;
    }
    log_debug(c->pod->node->log, "container", "%s/%s %s: %s -> %s", c->pod->spec->ns, c->pod->spec->name, c->spec->name,
              container_state_name(c->state), container_state_name(next));
    c->state = next;
    c->pod->again = true;
}

void container_handle(struct container *c, enum container_event ev)
{
    const struct cell *cell = &machine[c->state][ev];
    if (!cell->used || c->pod->node->stopping) {
        return;
    }
    assert(c->state != CONTAINER_DONE);
    if (cell->next != c->state) {
        c->deadline_ms = NEVER;
    }
    move(c, cell->next);
    if (cell->act != NULL) {
        cell->act(c);
    }
}

/* ---- Orders ---- */

void container_go(struct container *c)
{
    container_handle(c, CONTAINER_EV_GO);
}

void container_stop(struct container *c, bool final, int64_t grace_ms, const char *why)
{
    int64_t now = container_now(c);
    bool stopping = c->state >= CONTAINER_PRE_STOP && c->state <= CONTAINER_KILLING;
    int64_t by = now + MAX(grace_ms, 0);
    c->stop_final = c->stop_final || final;
    if (c->state == CONTAINER_DONE) {
        return;
    }
    c->stop_by_ms = stopping ? MIN(c->stop_by_ms, by) : by;
    c->stop_why = stopping && c->stop_why != NULL ? c->stop_why : why;
    if (c->state != CONTAINER_RUNNING && c->state != CONTAINER_POST_START) {
        container_handle(c, CONTAINER_EV_STOP);
        return;
    }
    /* Readiness is looked at to the end: a program that drains itself says so. */
    probe_stop(&c->probes[PODSPEC_STARTUP]);
    probe_stop(&c->probes[PODSPEC_LIVENESS]);
    if (final) {
        pod_event(c->pod, c, false, "Killing", "Stopping container %s", c->spec->name);
    }
    container_handle(c, grace_ms <= 0                                    ? CONTAINER_EV_STOP_NOW
                        : c->spec->pre_stop.kind != PODSPEC_HANDLER_NONE ? CONTAINER_EV_STOP_HOOK
                                                                         : CONTAINER_EV_STOP);
}

void container_refs_changed(struct container *c)
{
    container_handle(c, CONTAINER_EV_REFS);
}

void container_images_changed(struct container *c)
{
    container_handle(c, CONTAINER_EV_IMAGES);
}

int64_t container_deadline(const struct container *c)
{
    int64_t at = c->deadline_ms;
    for (int i = 0; i < PODSPEC_PROBES; i++) {
        at = MIN(at, probe_deadline(&c->probes[i]));
    }
    return at;
}

void container_tick(struct container *c, int64_t now_ms)
{
    if (now_ms >= c->deadline_ms) {
        c->deadline_ms = NEVER;
        container_handle(c, CONTAINER_EV_TIMER);
    }
    for (int i = 0; i < PODSPEC_PROBES; i++) {
        if (now_ms >= probe_deadline(&c->probes[i])) {
            probe_begin(&c->probes[i], now_ms);
            c->pod->pending++;
            container_ops(c)->probe(c, i);
        }
    }
}
