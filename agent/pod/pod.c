#include "agent/pod/pod_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_BASE_MS 250
#define RETRY_MAX_MS  120000

const char *pod_state_name(enum pod_state s)
{
    static const char *const names[POD_STATES] = {"pending", "volumes",  "sandbox",  "network",  "init",
                                                  "running", "stopping", "cleaning", "finished", "gone"};
    return names[s];
}

struct container *pod_container_new(struct pod *p, const struct podspec_container *spec)
{
    struct container *c = xmalloc(sizeof *c);
    container_init(c, p, spec);
    return c;
}

struct pod *pod_new(const struct pod_node *node, struct podspec *give_spec)
{
    struct pod *p = xcalloc(1, sizeof *p);
    p->node = node;
    p->spec = give_spec;
    p->settle = pod_settle;
    p->seen_ms = pod_now(p);
    p->deadline_ms = p->wake_ms = p->active_until_ms = p->grace_until_ms = POD_NEVER;
    p->containers = xcalloc(give_spec->count, sizeof(struct container *));
    for (unsigned i = 0; i < give_spec->count; i++) {
        p->containers[i] = pod_container_new(p, &give_spec->containers[i]);
    }
    backoff_init(&p->retry, RETRY_BASE_MS, RETRY_MAX_MS);
    if (give_spec->host_network) {
        snprintf(p->ip, sizeof p->ip, "%s", node->facts.host_ip);
    }
    return p;
}

void pod_free(struct pod *p)
{
    if (p == NULL) {
        return;
    }
    assert(p->pending == 0);
    for (unsigned i = 0; i < p->spec->count; i++) {
        container_close(p->containers[i]);
        free(p->containers[i]);
    }
    free(p->containers);
    podspec_free(p->spec);
    free(p);
}

struct container *pod_find(struct pod *p, struct str container)
{
    for (unsigned i = 0; i < p->spec->count; i++) {
        if (str_is(container, p->containers[i]->spec->name)) {
            return p->containers[i];
        }
    }
    return NULL;
}

/* ---- Actions ---- */

static void act_volumes(struct pod *p)
{
    struct error err;
    if (p->start_wall_ms == 0) {
        p->start_wall_ms = env_wall_ms(p->node->env);
    }
    int rv = p->node->ops->handler_find == NULL ? 0 : p->node->ops->handler_find(p, &err);
    bool handled = rv == 0;
    rv = rv != 0 ? rv : p->node->ops->volumes_mount(p, &err);
    if (rv == 0) {
        pod_handle(p, POD_EV_OK);
        return;
    }
    int64_t now = pod_now(p), patience = p->seen_ms + CONTAINER_REFS_GRACE_MS;
    bool early = rv == ERR_NOT_FOUND && now < patience;
    if (early) {
        p->deadline_ms = patience;
    } else if (rv != ERR_BUSY) {
        pod_event(p, NULL, true, handled ? "FailedMount" : "FailedCreatePodSandBox", "%s: %s",
                  handled ? "MountVolume.SetUp failed" : "Failed to create pod sandbox", err.message);
        /* A missing ConfigMap or class announces itself; anything else is tried again. */
        p->deadline_ms = rv == ERR_NOT_FOUND ? POD_NEVER : now + backoff_grow(&p->retry, now);
    }
}

static void act_sandbox(struct pod *p)
{
    backoff_reset(&p->retry);
    p->pending++;
    p->node->ops->sandbox_make(p);
}

static void act_network(struct pod *p)
{
    if (p->spec->host_network) {
        pod_handle(p, POD_EV_OK);
        return;
    }
    p->pending++;
    p->node->ops->network_add(p);
}

static void act_retry(struct pod *p)
{
    p->deadline_ms = pod_now(p) + backoff_grow(&p->retry, pod_now(p));
}

void pod_begin_time(struct pod *p)
{
    backoff_reset(&p->retry);
    if (p->spec->active_deadline_ms > 0) {
        int64_t elapsed = MAX(env_wall_ms(p->node->env) - p->start_wall_ms, 0);
        p->active_until_ms = pod_now(p) + MAX(p->spec->active_deadline_ms - elapsed, 0);
    }
}

static bool is_late(const struct container *c)
{
    return c->spec->is_sidecar;
}

const char *pod_stop_why(const struct pod *p)
{
    return p->removed ? "pod removed" : p->deleting ? "pod deleted" : p->failed ? "pod failed" : "pod completed";
}

static void stop_one(struct pod *p, struct container *c, int64_t grace_ms)
{
    if (!c->stop_final && c->state != CONTAINER_DONE) {
        container_stop(c, true, grace_ms, pod_stop_why(p));
    }
}

/* Containers at once; then sidecars, the last one first. */
static void stop_containers(struct pod *p)
{
    bool all_done = true;
    for (unsigned i = 0; i < p->spec->count; i++) {
        struct container *c = p->containers[i];
        if (!is_late(c)) {
            stop_one(p, c, pod_grace_ms(p));
            all_done = all_done && c->state == CONTAINER_DONE;
        }
    }
    for (unsigned i = p->spec->count; all_done && i-- > 0;) {
        stop_one(p, p->containers[i], MAX(pod_grace_ms(p), CONTAINER_MIN_GRACE_MS));
        all_done = p->containers[i]->state == CONTAINER_DONE;
    }
}

static void act_stop(struct pod *p)
{
    p->active_until_ms = POD_NEVER;
    p->grace_until_ms = pod_now(p) + pod_full_grace_ms(p);
    p->node->ops->leave(p); /* before any container gets its signal */
    stop_containers(p);
}

/* Deleted while it was already stopping: only ever sooner. */
static void act_hurry(struct pod *p)
{
    p->grace_until_ms = MIN(p->grace_until_ms, pod_now(p) + pod_full_grace_ms(p));
    for (unsigned i = 0; i < p->spec->count; i++) {
        struct container *c = p->containers[i];
        if (c->stop_final && c->state != CONTAINER_DONE) {
            container_stop(c, true, pod_grace_ms(p), pod_stop_why(p));
        }
    }
}

void pod_clean_step(struct pod *p)
{
    while (p->clean_step < POD_CLEAN_STEPS && !p->clean_all &&
           (p->clean_step == POD_CLEAN_CONTAINERS || p->clean_step == POD_CLEAN_LOGS)) {
        p->clean_step++;
    }
    if (p->clean_step < POD_CLEAN_STEPS) {
        p->pending++;
        p->node->ops->clean(p, (enum pod_clean)p->clean_step);
    } else if (p->deleting && !p->clean_all) {
        p->clean_all = true; /* deleted meanwhile */
        p->clean_step = 0;
        pod_clean_step(p);
    } else {
        pod_handle(p, p->deleting ? POD_EV_GONE : POD_EV_OK);
    }
}

static void act_clean(struct pod *p)
{
    for (unsigned i = 0; i < p->spec->count; i++) { /* from PENDING and VOLUMES */
        container_stop(p->containers[i], true, 0, pod_stop_why(p));
    }
    p->clean_all = p->deleting || p->evicted; /* one that took too much gives all of it back at once */
    p->clean_step = p->clean_tries = 0;
    p->again = true; /* begins when no answer is outstanding: see progress */
}

static void act_gone(struct pod *p)
{
    p->node->ops->journal(p, NULL, "gone", pod_stop_why(p));
    p->node->ops->gone(p);
}

/* ---- The machine ---- */

struct cell {
    bool used;
    enum pod_state next;
    void (*act)(struct pod *p);
};
#define GOTO(s, a)                                                                                                     \
    {                                                                                                                  \
        true, POD_##s, (a)                                                                                             \
    }

static const struct cell machine[POD_STATES][POD_EVENTS] = {
    [POD_PENDING] =
        {
            [POD_EV_GO] = GOTO(VOLUMES, act_volumes),
            [POD_EV_DELETE] = GOTO(CLEANING, act_clean),
            [POD_EV_ENDED] = GOTO(STOPPING, act_stop),
            [POD_EV_FOUND_SANDBOX] = GOTO(NETWORK, act_network),
            [POD_EV_FOUND_NETWORK] = GOTO(INIT, pod_begin_time),
            [POD_EV_FOUND_RUNNING] = GOTO(RUNNING, pod_begin_time),
            [POD_EV_FOUND_REMAINS] = GOTO(CLEANING, act_clean),
            [POD_EV_FOUND_FINISHED] = GOTO(FINISHED, NULL),
        },
    [POD_VOLUMES] =
        {
            [POD_EV_OK] = GOTO(SANDBOX, act_sandbox),
            [POD_EV_REFS] = GOTO(VOLUMES, act_volumes),
            [POD_EV_TIMER] = GOTO(VOLUMES, act_volumes),
            [POD_EV_DELETE] = GOTO(CLEANING, act_clean),
        },
    /* In SANDBOX and NETWORK deletion waits for the answer, or for the end of the pause: CLEANING begins only when
     * nothing is in flight. */
    [POD_SANDBOX] =
        {
            [POD_EV_OK] = GOTO(NETWORK, act_network),
            [POD_EV_FAILED] = GOTO(SANDBOX, act_retry),
            [POD_EV_TIMER] = GOTO(SANDBOX, act_sandbox),
            [POD_EV_DELETE] = GOTO(CLEANING, act_clean),
        },
    [POD_NETWORK] =
        {
            [POD_EV_OK] = GOTO(INIT, pod_begin_time),
            [POD_EV_FAILED] = GOTO(NETWORK, act_retry),
            [POD_EV_TIMER] = GOTO(NETWORK, act_network),
            [POD_EV_DELETE] = GOTO(CLEANING, act_clean),
        },
    [POD_INIT] =
        {
            [POD_EV_OK] = GOTO(RUNNING, NULL),
            [POD_EV_ENDED] = GOTO(STOPPING, act_stop),
            [POD_EV_DELETE] = GOTO(STOPPING, act_stop),
        },
    [POD_RUNNING] =
        {
            [POD_EV_ENDED] = GOTO(STOPPING, act_stop),
            [POD_EV_DELETE] = GOTO(STOPPING, act_stop),
        },
    [POD_STOPPING] =
        {
            [POD_EV_OK] = GOTO(CLEANING, act_clean),
            [POD_EV_DELETE] = GOTO(STOPPING, act_hurry),
        },
    [POD_CLEANING] =
        {
            [POD_EV_OK] = GOTO(FINISHED, NULL),
            [POD_EV_GONE] = GOTO(GONE, act_gone),
            [POD_EV_FAILED] = GOTO(CLEANING, act_retry),
            [POD_EV_TIMER] = GOTO(CLEANING, pod_clean_step),
        },
    [POD_FINISHED] =
        {
            [POD_EV_DELETE] = GOTO(CLEANING, act_clean),
        },
};

void pod_handle(struct pod *p, enum pod_event ev)
{
    const struct cell *cell = &machine[p->state][ev];
    if (!cell->used || p->node->stopping) {
        return;
    }
    if (cell->next != p->state) {
        log_debug(p->node->log, "pod", "%s/%s: %s -> %s", p->spec->ns, p->spec->name, pod_state_name(p->state),
                  pod_state_name(cell->next));
        p->deadline_ms = POD_NEVER;
        p->again = true;
    }
    p->state = cell->next;
    if (cell->act != NULL) {
        cell->act(p);
    }
}

/* ---- Moving on: what the states' own conditions are ---- */

/* Whatever the others are at: also beside init containers that fail. */
static void start_ephemeral(struct pod *p)
{
    for (unsigned i = p->spec->main_count; i < p->spec->count; i++) {
        container_go(p->containers[i]);
    }
}

static void progress_init(struct pod *p)
{
    for (unsigned i = 0; i < p->spec->init_count; i++) {
        struct container *c = p->containers[i];
        container_go(c);
        if (c->spec->is_sidecar ? c->started : container_succeeded(c)) {
            continue;
        }
        if (c->state == CONTAINER_DONE) {
            p->failed = true;
            pod_handle(p, POD_EV_ENDED);
        }
        return;
    }
    pod_handle(p, POD_EV_OK);
}

static void progress_running(struct pod *p)
{
    bool ended = true;
    for (unsigned i = 0; i < p->spec->main_count; i++) {
        struct container *c = p->containers[i];
        if (i >= p->spec->init_count || c->spec->is_sidecar) {
            container_go(c);
        }
        ended = ended && (i < p->spec->init_count || c->state == CONTAINER_DONE);
    }
    if (ended) {
        pod_handle(p, POD_EV_ENDED);
    }
}

static void progress(struct pod *p)
{
    bool all_done = true;
    switch (p->state) {
    case POD_INIT:
        start_ephemeral(p);
        progress_init(p);
        break;
    case POD_RUNNING:
        start_ephemeral(p);
        progress_running(p);
        break;
    case POD_STOPPING:
        stop_containers(p);
        for (unsigned i = 0; i < p->spec->count; i++) {
            all_done = all_done && p->containers[i]->state == CONTAINER_DONE;
        }
        if (all_done) {
            pod_handle(p, POD_EV_OK);
        }
        break;
    case POD_CLEANING:
        if (p->pending == 0 && p->clean_step == 0 && p->deadline_ms == POD_NEVER) {
            pod_clean_step(p);
        }
        break;
    default:
        break;
    }
}

static int64_t next_deadline(const struct pod *p)
{
    int64_t at = MIN(p->deadline_ms, p->active_until_ms);
    for (unsigned i = 0; i < p->spec->count; i++) {
        at = MIN(at, container_deadline(p->containers[i]));
    }
    return at;
}

void pod_settle(struct pod *p)
{
    if (p->in_settle || p->state == POD_GONE || p->node->stopping) {
        return;
    }
    p->in_settle = true;
    do {
        p->again = false;
        progress(p);
    } while (p->again && p->state != POD_GONE);
    p->in_settle = false;
    if (p->state == POD_GONE) {
        return;
    }
    int64_t at = next_deadline(p);
    if (at != p->wake_ms) {
        p->wake_ms = at;
        p->node->ops->wake(p);
    }
    p->node->ops->changed(p);
}
