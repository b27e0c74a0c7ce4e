#include "agent/pod/pod.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"

#define NEVER          INT64_MAX
#define RETRY_BASE_MS  250
#define RETRY_MAX_MS   120000
#define CLEAN_RETRY_MS 5000
#define CLEAN_TRIES    5u /* of a step; then the next one: a broken plugin must not keep a deleted pod for ever */

static int64_t now_of(const struct pod *p)
{
    return env_now_ms(p->node->env);
}

const char *pod_state_name(enum pod_state s)
{
    static const char *const names[POD_STATES] = {"pending", "volumes",  "sandbox",  "network",  "init",
                                                  "running", "stopping", "cleaning", "finished", "gone"};
    return names[s];
}

static struct container *new_container(struct pod *p, const struct podspec_container *spec)
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
    p->seen_ms = now_of(p);
    p->deadline_ms = p->wake_ms = p->active_until_ms = p->grace_until_ms = NEVER;
    p->containers = xcalloc(give_spec->count, sizeof(struct container *));
    for (unsigned i = 0; i < give_spec->count; i++) {
        p->containers[i] = new_container(p, &give_spec->containers[i]);
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

static void handle(struct pod *p, enum pod_event ev);

static void act_volumes(struct pod *p)
{
    struct error err;
    if (p->start_wall_ms == 0) {
        p->start_wall_ms = env_wall_ms(p->node->env);
    }
    int rv = p->node->ops->volumes_mount(p, &err);
    if (rv == 0) {
        handle(p, POD_EV_OK);
        return;
    }
    int64_t now = now_of(p), patience = p->seen_ms + CONTAINER_REFS_GRACE_MS;
    bool early = rv == ERR_NOT_FOUND && now < patience;
    if (early) {
        p->deadline_ms = patience;
    } else if (rv != ERR_BUSY) {
        pod_event(p, NULL, true, "FailedMount", "MountVolume.SetUp failed: %s", err.message);
        /* A missing ConfigMap announces itself; anything else is tried again. */
        p->deadline_ms = rv == ERR_NOT_FOUND ? NEVER : now + backoff_grow(&p->retry, now);
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
        handle(p, POD_EV_OK);
        return;
    }
    p->pending++;
    p->node->ops->network_add(p);
}

static void act_retry(struct pod *p)
{
    p->deadline_ms = now_of(p) + backoff_grow(&p->retry, now_of(p));
}

static void act_active(struct pod *p)
{
    backoff_reset(&p->retry);
    if (p->spec->active_deadline_ms > 0) {
        int64_t elapsed = MAX(env_wall_ms(p->node->env) - p->start_wall_ms, 0);
        p->active_until_ms = now_of(p) + MAX(p->spec->active_deadline_ms - elapsed, 0);
    }
}

static bool is_late(const struct container *c)
{
    return c->spec->is_sidecar;
}

static const char *stop_why(const struct pod *p)
{
    return p->removed ? "pod removed" : p->deleting ? "pod deleted" : p->failed ? "pod failed" : "pod completed";
}

static void stop_one(struct pod *p, struct container *c, int64_t grace_ms)
{
    if (!c->stop_final && c->state != CONTAINER_DONE) {
        container_stop(c, true, grace_ms, stop_why(p));
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
    p->active_until_ms = NEVER;
    p->grace_until_ms = now_of(p) + pod_full_grace_ms(p);
    stop_containers(p);
}

/* Deleted while it was already stopping: only ever sooner. */
static void act_hurry(struct pod *p)
{
    p->grace_until_ms = MIN(p->grace_until_ms, now_of(p) + pod_full_grace_ms(p));
    for (unsigned i = 0; i < p->spec->count; i++) {
        struct container *c = p->containers[i];
        if (c->stop_final && c->state != CONTAINER_DONE) {
            container_stop(c, true, pod_grace_ms(p), stop_why(p));
        }
    }
}

static void clean_step(struct pod *p)
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
        clean_step(p);
    } else {
        handle(p, POD_EV_OK);
    }
}

static void act_clean(struct pod *p)
{
    for (unsigned i = 0; i < p->spec->count; i++) { /* from PENDING and VOLUMES */
        container_stop(p->containers[i], true, 0, stop_why(p));
    }
    p->clean_all = p->deleting || p->evicted; /* one that took too much gives all of it back at once */
    p->clean_step = p->clean_tries = 0;
    p->again = true; /* begins when no answer is outstanding: see progress */
}

static void act_cleaned(struct pod *p)
{
    if (p->deleting) {
        p->state = POD_GONE;
        p->node->ops->journal(p, NULL, "gone", stop_why(p));
        p->node->ops->gone(p);
    }
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
            [POD_EV_OK] = GOTO(INIT, act_active),
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
            [POD_EV_OK] = GOTO(FINISHED, act_cleaned), /* GONE if it was deleted */
            [POD_EV_FAILED] = GOTO(CLEANING, act_retry),
            [POD_EV_TIMER] = GOTO(CLEANING, clean_step),
        },
    [POD_FINISHED] =
        {
            [POD_EV_DELETE] = GOTO(CLEANING, act_clean),
        },
};

static void handle(struct pod *p, enum pod_event ev)
{
    const struct cell *cell = &machine[p->state][ev];
    if (!cell->used || p->node->stopping) {
        return;
    }
    if (cell->next != p->state) {
        log_debug(p->node->log, "pod", "%s/%s: %s -> %s", p->spec->ns, p->spec->name, pod_state_name(p->state),
                  pod_state_name(cell->next));
        p->deadline_ms = NEVER;
        p->again = true;
    }
    p->state = cell->next;
    if (cell->act != NULL) {
        cell->act(p);
    }
}

/* ---- Moving on: what the states' own conditions are ---- */

static void fail(struct pod *p, const char *reason, const char *message)
{
    p->failed = true;
    snprintf(p->fail_reason, sizeof p->fail_reason, "%s", reason);
    snprintf(p->fail_message, sizeof p->fail_message, "%s", message);
    handle(p, POD_EV_ENDED);
}

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
            handle(p, POD_EV_ENDED);
        }
        return;
    }
    handle(p, POD_EV_OK);
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
        handle(p, POD_EV_ENDED);
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
            handle(p, POD_EV_OK);
        }
        break;
    case POD_CLEANING:
        if (p->pending == 0 && p->clean_step == 0 && p->deadline_ms == NEVER) {
            clean_step(p);
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

/* ---- Orders ---- */

void pod_adopt_sandbox(struct pod *p, const char *ip)
{
    assert(p->state == POD_PENDING);
    p->has_sandbox = true;
    if (!p->spec->host_network) {
        snprintf(p->ip, sizeof p->ip, "%s", ip);
    }
}

void pod_adopt_finished(struct pod *p)
{
    assert(p->state == POD_PENDING);
    for (unsigned i = 0; i < p->spec->count; i++) {
        p->containers[i]->stop_final = true;
        p->containers[i]->state = CONTAINER_DONE;
    }
    p->status_frozen = true;
    p->evicted = p->latest != NULL && str_is(mp_str(mp_path(object_mp(p->latest), "status.reason")), "Evicted");
    if (p->has_sandbox) { /* we had not given everything back */
        p->state = POD_STOPPING;
        handle(p, POD_EV_OK);
        pod_settle(p);
    } else {
        p->state = POD_FINISHED;
    }
}

static bool apps_done(const struct pod *p)
{
    for (unsigned i = p->spec->init_count; i < p->spec->main_count; i++) {
        if (p->containers[i]->state != CONTAINER_DONE) {
            return false;
        }
    }
    return true;
}

static bool any_app_runs(const struct pod *p)
{
    for (unsigned i = p->spec->init_count; i < p->spec->main_count; i++) {
        if (container_is_running(p->containers[i])) {
            return true;
        }
    }
    return false;
}

/* Where an adopted pod goes on. */
static void resume(struct pod *p)
{
    if (p->ip[0] == '\0') {
        p->state = POD_NETWORK;
        act_network(p);
        return;
    }
    p->state = any_app_runs(p) ? POD_RUNNING : POD_INIT;
    act_active(p);
}

void pod_go(struct pod *p)
{
    if (p->state != POD_PENDING) {
        return;
    }
    int64_t start_wall;
    if (p->start_wall_ms == 0 &&
        timefmt_parse(mp_str(mp_path(object_mp(p->spec->object), "status.startTime")), &start_wall)) {
        p->start_wall_ms = start_wall;
    }
    if (apps_done(p)) {
        handle(p, POD_EV_ENDED);
    } else if (p->has_sandbox) {
        resume(p);
    } else if (!p->spec->deleting) {
        handle(p, POD_EV_GO);
    }
    if (p->spec->deleting) {
        p->deleting = true;
        handle(p, POD_EV_DELETE);
    }
    pod_settle(p);
}

static struct container *find_ephemeral(const struct pod *p, const char *name)
{
    for (unsigned i = p->spec->main_count; i < p->spec->count; i++) {
        if (strcmp(p->containers[i]->spec->name, name) == 0) {
            return p->containers[i];
        }
    }
    return NULL;
}

/* The containers of a newer spec, in its order: those that are there already, found by name, and new ones. NULL if it
 * lacks one that is there: only ephemeral ones may be added, nothing is ever taken away. */
static struct container **containers_of(struct pod *p, const struct podspec *fresh)
{
    if (fresh->init_count != p->spec->init_count || fresh->main_count != p->spec->main_count) {
        return NULL;
    }
    struct container **list = xcalloc(fresh->count, sizeof(struct container *));
    unsigned known = 0;
    for (unsigned i = 0; i < fresh->count; i++) {
        list[i] = i < fresh->main_count ? p->containers[i] : find_ephemeral(p, fresh->containers[i].name);
        known += list[i] != NULL;
    }
    if (known != p->spec->count) {
        free(list);
        return NULL;
    }
    for (unsigned i = fresh->main_count; i < fresh->count; i++) {
        if (list[i] == NULL) {
            list[i] = new_container(p, &fresh->containers[i]);
        }
    }
    return list;
}

static void update_container(struct pod *p, struct container *c, const struct podspec_container *fresh)
{
    bool image_changed = strcmp(fresh->image, c->spec->image) != 0;
    c->spec = fresh;
    for (int k = 0; k < PODSPEC_PROBES; k++) {
        if (probe_running(&c->probes[k])) {
            c->probes[k].config = &fresh->probes[k];
        }
    }
    if (image_changed && !p->deleting && c->state == CONTAINER_RUNNING) {
        pod_event(p, c, false, "Killing", "Container %s definition changed, will be restarted", fresh->name);
        c->definition_changed = true;
        container_stop(c, false, pod_grace_ms(p), "definition changed");
    }
    if (fresh->is_ephemeral && p->state >= POD_STOPPING) { /* too late */
        container_stop(c, true, pod_grace_ms(p), stop_why(p));
    }
}

void pod_update(struct pod *p, struct podspec *give_spec)
{
    struct podspec *old = p->spec;
    struct container **containers = containers_of(p, give_spec);
    if (containers == NULL) { /* containers of a pod cannot change; ignore what cannot be */
        podspec_free(give_spec);
        return;
    }
    free(p->containers);
    p->containers = containers;
    p->spec = give_spec;
    for (unsigned i = 0; i < give_spec->count; i++) {
        update_container(p, containers[i], &give_spec->containers[i]);
    }
    if (give_spec->left_out > old->left_out) {
        pod_event(p, NULL, true, "Failed", "Error: a pod has at most %u containers: %u ephemeral ones are not started",
                  PODSPEC_CONTAINERS_MAX, give_spec->left_out);
    }
    if (p->state == POD_RUNNING || p->state == POD_INIT) {
        act_active(p);
        p->node->ops->volumes_update(p); /* labels and annotations may be files */
    }
    podspec_free(old);
    if (give_spec->deleting) {
        pod_delete(p, false);
    }
    pod_settle(p);
}

void pod_delete(struct pod *p, bool removed)
{
    p->deleting = true;
    p->removed = p->removed || removed;
    handle(p, POD_EV_DELETE);
    pod_settle(p);
}

void pod_evict(struct pod *p, const char *message)
{
    assert(p->state == POD_INIT || p->state == POD_RUNNING);
    p->evicted = true;
    pod_event(p, NULL, true, "Evicted", "%s", message);
    fail(p, "Evicted", message);
    pod_settle(p);
}

void pod_reject(struct pod *p, const char *reason, const char *message)
{
    assert(p->state == POD_PENDING);
    p->rejected = true;
    pod_event(p, NULL, true, reason, "%s", message);
    fail(p, reason, message);
    pod_settle(p);
}

bool pod_forks_refused(struct pod *p, uint64_t refused, int64_t wall_ms)
{
    bool first = p->pids.refused == 0, more = refused > p->pids.refused;
    p->pids.refused = MAX(p->pids.refused, refused);
    p->pids.since_wall_ms = first ? wall_ms : p->pids.since_wall_ms;
    return more;
}

void pod_refs_changed(struct pod *p)
{
    handle(p, POD_EV_REFS);
    for (unsigned i = 0; i < p->spec->count; i++) {
        container_refs_changed(p->containers[i]);
    }
    if (p->state == POD_RUNNING || p->state == POD_INIT) {
        p->node->ops->volumes_update(p);
    }
    pod_settle(p);
}

void pod_images_changed(struct pod *p)
{
    for (unsigned i = 0; i < p->spec->count; i++) {
        container_images_changed(p->containers[i]);
    }
    pod_settle(p);
}

void pod_tick(struct pod *p, int64_t now_ms)
{
    if (now_ms >= p->active_until_ms) {
        p->active_until_ms = NEVER;
        fail(p, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
        pod_event(p, NULL, false, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
    }
    if (now_ms >= p->deadline_ms) {
        p->deadline_ms = NEVER;
        handle(p, POD_EV_TIMER);
    }
    for (unsigned i = 0; i < p->spec->count; i++) {
        container_tick(p->containers[i], now_ms);
    }
    pod_settle(p);
}

/* ---- Answers ---- */

static void answer(struct pod *p, enum pod_state asked_in, const struct error *error, const char *what)
{
    assert(p->pending > 0);
    p->pending--;
    if (p->state == asked_in && error == NULL) {
        handle(p, POD_EV_OK);
    } else if (p->state == asked_in) {
        pod_event(p, NULL, true, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s: %s", what,
                  error->message);
        handle(p, POD_EV_FAILED);
    }
    pod_settle(p);
}

void pod_on_sandbox(struct pod *p, const struct error *error)
{
    answer(p, POD_SANDBOX, error, "namespaces");
}

void pod_on_network(struct pod *p, const char *ip, const struct error *error)
{
    if (error == NULL) {
        snprintf(p->ip, sizeof p->ip, "%s", ip);
    }
    answer(p, POD_NETWORK, error, "network");
}

void pod_on_clean(struct pod *p, const struct error *error)
{
    assert(p->pending > 0 && p->state == POD_CLEANING);
    p->pending--;
    if (p->node->stopping) {
        return;
    }
    if (error != NULL) {
        log_warn(p->node->log, "pod", "%s/%s: clean-up step %u: %s", p->spec->ns, p->spec->name, p->clean_step,
                 error->message);
    }
    if (error != NULL && ++p->clean_tries < CLEAN_TRIES) {
        p->deadline_ms = now_of(p) + CLEAN_RETRY_MS;
    } else {
        p->clean_tries = 0;
        p->clean_step++;
        clean_step(p);
    }
    pod_settle(p);
}
