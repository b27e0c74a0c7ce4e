/* What comes back to a container, made into events of its machine (container.c): answers of pod_ops, ends, and what was
 * found after the agent's restart. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/pod/container_int.h"

/* ---- Ends ---- */

static void set_end(struct container_end *e, const struct runtime_status *st, int64_t wall_ms)
{
    free(e->message);
    *e = (struct container_end){
        .set = true,
        .attempt = st->attempt,
        .exit_code = st->exit_code,
        .signal = st->signal,
        .message = st->message == NULL || st->message[0] == '\0' ? NULL : xstrdup(st->message),
        .started_ms = st->started_ms,
        .finished_ms = st->finished_ms > 0 ? st->finished_ms : wall_ms,
    };
    const char *reason = st->reason != NULL && st->reason[0] != '\0' ? st->reason
                         : st->oom_killed                            ? "OOMKilled"
                         : st->exit_code == 0                        ? "Completed"
                                                                     : "Error";
    snprintf(e->reason, sizeof e->reason, "%s", reason);
}

/* The newest attempt becomes the one before. */
static void push_end(struct container *c)
{
    if (c->end.set) {
        free(c->last.message);
        c->last = c->end;
        c->end = (struct container_end){0};
    }
}

static void begin_attempt(struct container *c)
{
    unsigned attempt = container_next_attempt(c);
    push_end(c);
    if (attempt >= 2) {
        container_ops(c)->forget(c, attempt - 2);
    }
    c->attempt = attempt;
    c->has_run = true;
    c->failed_by_us = false;
    c->token++;
}

/* ---- Answers ---- */

/* The store's own words for people begin with what the event says already. */
static const char *without_lead(const char *message)
{
    const char *colon = strstr(message, "\": ");
    return strncmp(message, "failed to pull image \"", 22) == 0 && colon != NULL ? colon + 3 : message;
}

void container_on_image(struct container *c, const char *reason, const struct error *error)
{
    struct pod *p = c->pod;
    assert(p->pending > 0);
    p->pending--;
    if (p->node->stopping) {
        return;
    }
    if (c->state == CONTAINER_PULLING && reason[0] == '\0') {
        if (c->reason[0] == '\0') {
            container_set_waiting(c, "", NULL); /* how far the pull was */
        }
        container_handle(c, CONTAINER_EV_PULLED);
    } else if (c->state == CONTAINER_PULLING) {
        const char *message = error == NULL ? "" : error->message;
        char shown[IMAGE_REF_MAX];
        image_name_shown(c->spec->image, shown);
        pod_event(p, c, true, "Failed", "Failed to pull image \"%s\": %s", shown, without_lead(message));
        pod_event(p, c, true, "Failed", "Error: %s", reason);
        container_set_waiting(c, reason, xstrdup(message));
        container_handle(c, CONTAINER_EV_PULL_FAILED);
    }
    p->settle(p);
}

void container_on_pull_step(struct container *c, int step, char *give_text)
{
    assert(c->state == CONTAINER_PULLING && c->reason[0] == '\0');
    container_set_waiting(c, "", give_text);
    c->pull_step = step;
    c->pod->node->ops->changed(c->pod);
}

/* The program could not be run: Kubernetes shows that as an end with code 128. */
static void run_failed(struct container *c, const char *message)
{
    int64_t wall = env_wall_ms(c->pod->node->env);
    begin_attempt(c);
    struct runtime_status st = {.attempt = c->attempt,
                                .exit_code = 128,
                                .reason = "ContainerCannotRun",
                                .message = message,
                                .started_ms = wall,
                                .finished_ms = wall};
    set_end(&c->end, &st, wall);
    container_handle(c, CONTAINER_EV_EXIT);
}

static void start_failed(struct container *c, const struct runtime_started *r)
{
    const char *message = r->error->message;
    if (c->stop_final) {
        container_handle(c, CONTAINER_EV_FINISH);
        return;
    }
    pod_event(c->pod, c, true, "Failed", "Error: %s", message);
    if (strcmp(r->reason, "RunContainerError") == 0) {
        run_failed(c, message);
    } else {
        container_set_waiting(c, r->reason[0] != '\0' ? r->reason : "CreateContainerError", xstrdup(message));
        container_handle(c, CONTAINER_EV_START_FAILED);
    }
}

void container_on_started(struct container *c, const struct runtime_started *r)
{
    struct pod *p = c->pod;
    assert(p->pending > 0 && c->state == CONTAINER_STARTING);
    p->pending--;
    if (p->node->stopping) {
        return; /* whatever was started is adopted by the next agent */
    }
    if (r->error != NULL) {
        start_failed(c, r);
        p->settle(p);
        return;
    }
    begin_attempt(c);
    container_set_waiting(c, "", NULL);
    free(c->image_id);
    c->image_id = r->status->image_ref == NULL ? NULL : xstrdup(r->status->image_ref);
    c->started_wall_ms = r->status->started_ms;
    c->started_ms = container_now(c);
    pod_event(p, c, false, "Created", "Created container %s", c->spec->name);
    pod_event(p, c, false, "Started", "Started container %s", c->spec->name);
    container_ops(c)->journal(p, c, "start", c->attempt == 0 ? "ordered" : "restart");
    bool hook = c->spec->post_start.kind != PODSPEC_HANDLER_NONE && !c->stop_final;
    container_handle(c, hook ? CONTAINER_EV_STARTED_HOOK : CONTAINER_EV_STARTED);
    if (c->stop_final) { /* ordered while the runtime was at it */
        container_stop(c, true, c->stop_by_ms - container_now(c), c->stop_why);
    }
    p->settle(p);
}

void container_on_exit(struct container *c, const struct runtime_status *st)
{
    if (!c->has_run || st->attempt != c->attempt || c->end.set || c->pod->node->stopping) {
        return;
    }
    set_end(&c->end, st, env_wall_ms(c->pod->node->env));
    container_ops(c)->journal(c->pod, c, "exit", c->end.reason);
    container_handle(c, CONTAINER_EV_EXIT);
    c->pod->settle(c->pod);
}

void container_on_hook(struct container *c, unsigned token, bool ok, const char *message)
{
    struct pod *p = c->pod;
    assert(p->pending > 0);
    p->pending--;
    if (!p->node->stopping && token == c->token &&
        (c->state == CONTAINER_POST_START || c->state == CONTAINER_PRE_STOP)) {
        bool post = c->state == CONTAINER_POST_START;
        if (!ok) {
            pod_event(p, c, true, post ? "FailedPostStartHook" : "FailedPreStopHook", "%s failed: %s",
                      post ? "PostStartHook" : "PreStopHook", message);
            c->failed_by_us = c->failed_by_us || post;
        }
        container_handle(c, ok ? CONTAINER_EV_HOOK_DONE : CONTAINER_EV_HOOK_FAILED);
    }
    p->settle(p);
}

static void probe_failed(struct container *c, int which)
{
    int64_t grace = c->spec->probes[which].grace_ms;
    pod_event(c->pod, c, false, "Killing", "Container %s failed %s probe, will be restarted", c->spec->name,
              which == PODSPEC_STARTUP ? "startup" : "liveness");
    c->failed_by_us = true;
    container_stop(c, false, grace >= 0 ? grace : pod_grace_ms(c->pod),
                   which == PODSPEC_STARTUP ? "startup probe failed" : "liveness probe failed");
}

void container_on_probe(struct container *c, int which, unsigned token, bool success, const char *message)
{
    struct pod *p = c->pod;
    struct probe *probe = &c->probes[which];
    assert(p->pending > 0 && which >= 0 && which < PODSPEC_PROBES);
    p->pending--;
    bool counts = c->state == CONTAINER_RUNNING ||
                  (which == PODSPEC_READINESS && (c->state == CONTAINER_PRE_STOP || c->state == CONTAINER_TERMINATING));
    if (p->node->stopping || token != c->token || !probe_running(probe) || !probe->in_flight || !counts) {
        p->settle(p);
        return;
    }
    if (!success) {
        pod_event(p, c, true, "Unhealthy", "%s probe failed: %s", probe_title(which), message);
    }
    enum probe_verdict verdict = probe_feed(probe, success, container_now(c));
    if (which == PODSPEC_READINESS) {
        container_refresh_ready(c);
    } else if (verdict == PROBE_FAILED) {
        probe_failed(c, which);
    } else if (verdict == PROBE_PASSED && which == PODSPEC_STARTUP) {
        probe_stop(probe);
        c->started = true;
        container_start_checks(c, false);
        p->again = true;
    }
    p->settle(p);
}

/* ---- After the agent's restart ---- */

void container_adopt(struct container *c, const struct runtime_status *st, bool alive, bool was_started, bool was_ready)
{
    assert(c->state == CONTAINER_IDLE && !c->has_run);
    c->attempt = st->attempt;
    c->has_run = true;
    c->token++;
    free(c->image_id);
    c->image_id = st->image_ref == NULL ? NULL : xstrdup(st->image_ref);
    c->started_wall_ms = st->started_ms;
    c->started_ms = container_now(c);
    if (st->state == RUNTIME_RUNNING && alive) {
        container_handle(c, CONTAINER_EV_FOUND_RUNNING);
        if (was_started && !c->started) {
            probe_stop(&c->probes[PODSPEC_STARTUP]);
            c->started = true;
        }
        if (c->started) {
            container_start_checks(c, was_ready);
        }
        container_ops(c)->journal(c->pod, c, "adopt", "running");
        return;
    }
    set_end(&c->end, st, env_wall_ms(c->pod->node->env));
    if (!container_restarts(c->pod->spec->restart, c->spec, c->end.exit_code, false) && (alive || !c->spec->is_init)) {
        container_handle(c, CONTAINER_EV_FOUND_DONE);
    }
    container_ops(c)->journal(c->pod, c, "adopt", "ended");
}

void container_adopt_last(struct container *c, const struct runtime_status *st)
{
    set_end(&c->last, st, env_wall_ms(c->pod->node->env));
}

void container_adopt_done(struct container *c)
{
    c->stop_final = true;
    container_handle(c, CONTAINER_EV_FOUND_DONE);
}
