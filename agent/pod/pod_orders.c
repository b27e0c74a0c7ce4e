/* What comes to a pod from outside becomes events of its machine (pod.c) here: orders of the masters, what was found
 * after the agent's restart, the answers of pod_ops. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pod/pod_int.h"
#include "base/timefmt.h"

#define CLEAN_RETRY_MS 5000

/* The pod has failed, whatever its containers say. */
static void fail(struct pod *p, const char *reason, const char *message)
{
    p->failed = true;
    snprintf(p->fail_reason, sizeof p->fail_reason, "%s", reason);
    snprintf(p->fail_message, sizeof p->fail_message, "%s", message);
    pod_handle(p, POD_EV_ENDED);
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
        container_adopt_done(p->containers[i]);
    }
    p->status_frozen = true;
    p->evicted = p->latest != NULL && str_is(mp_str(mp_path(object_mp(p->latest), "status.reason")), "Evicted");
    if (p->has_sandbox) { /* the former agent had not given everything back */
        pod_handle(p, POD_EV_FOUND_REMAINS);
        pod_settle(p);
    } else {
        pod_handle(p, POD_EV_FOUND_FINISHED);
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

/* How far an adopted pod had come. */
static enum pod_event found(const struct pod *p)
{
    return p->ip[0] == '\0' ? POD_EV_FOUND_SANDBOX : any_app_runs(p) ? POD_EV_FOUND_RUNNING : POD_EV_FOUND_NETWORK;
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
        pod_handle(p, POD_EV_ENDED);
    } else if (p->has_sandbox) {
        pod_handle(p, found(p));
    } else if (!p->spec->deleting) {
        pod_handle(p, POD_EV_GO);
    }
    if (p->spec->deleting) {
        p->deleting = true;
        pod_handle(p, POD_EV_DELETE);
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
            list[i] = pod_container_new(p, &fresh->containers[i]);
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
        container_stop(c, true, pod_grace_ms(p), pod_stop_why(p));
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
        pod_begin_time(p);
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
    pod_handle(p, POD_EV_DELETE);
    pod_settle(p);
}

void pod_evict(struct pod *p, const char *message, bool for_node)
{
    assert(p->state == POD_INIT || p->state == POD_RUNNING);
    p->evicted = true;
    p->relieves = for_node;
    p->disrupted_wall_ms = env_wall_ms(p->node->env);
    pod_event(p, NULL, true, "Evicted", "%s", message);
    fail(p, "Evicted", message);
    pod_settle(p);
}

void pod_preempt(struct pod *p)
{
    assert(p->state == POD_INIT || p->state == POD_RUNNING);
    p->preempted = true;
    p->disrupted_wall_ms = env_wall_ms(p->node->env);
    pod_event(p, NULL, true, "Preempting", "Preempted in order to admit critical pod");
    fail(p, "Preempting", "Preempted in order to admit critical pod");
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
    pod_handle(p, POD_EV_REFS);
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
        p->active_until_ms = POD_NEVER;
        fail(p, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
        pod_event(p, NULL, false, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline");
    }
    if (now_ms >= p->deadline_ms) {
        p->deadline_ms = POD_NEVER;
        pod_handle(p, POD_EV_TIMER);
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
        pod_handle(p, POD_EV_OK);
    } else if (p->state == asked_in) {
        pod_event(p, NULL, true, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s: %s", what,
                  error->message);
        pod_handle(p, POD_EV_FAILED);
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
    if (error != NULL && p->clean_step == POD_CLEAN_VOLUMES &&
        strncmp(p->clean_error, error->message, sizeof p->clean_error - 1) != 0) {
        pod_event(p, NULL, true, "FailedUnmount", "UnmountVolume.TearDown failed: %s", error->message);
    }
    if (error != NULL && ++p->clean_tries < POD_CLEAN_TRIES) {
        p->clean_since_wall_ms = p->clean_error[0] == '\0' ? env_wall_ms(p->node->env) : p->clean_since_wall_ms;
        snprintf(p->clean_error, sizeof p->clean_error, "%.255s", error->message);
        p->deadline_ms = pod_now(p) + CLEAN_RETRY_MS;
    } else {
        p->clean_tries = 0;
        p->clean_error[0] = '\0';
        p->clean_step++;
        pod_clean_step(p);
    }
    pod_settle(p);
}
