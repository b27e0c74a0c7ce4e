/* Status of a Deployment: counters, Available, Progressing and its deadline. */
#include <assert.h>
#include <stdio.h>

#include "controllers/workloads/deployment.h"

/* "progressDeadlineSeconds of the largest int32 means none." */
#define DEADLINE_NONE INT32_MAX

static int64_t deadline_s(const struct deployment *d)
{
    return count_bound(value_path_int(d->doc, "spec.progressDeadlineSeconds", DEADLINE_NONE));
}

bool deployment_has_deadline(const struct deployment *d)
{
    return deadline_s(d) < DEADLINE_NONE;
}

static void condition_write(struct deployment *d, const char *type, const char *status, const char *reason,
                            const char *message)
{
    condition_set(d->a, d->status, type, status, reason, message, d->in->wall_ms, true);
    /* Said again it is an update: the progress deadline counts from here. */
    value_set(d->a, condition_get(d->status, type), "lastUpdateTime", value_time(d->a, d->in->wall_ms));
    d->dirty = true;
}

/* Nothing changes if status and reason are the same already. */
void deployment_condition(struct deployment *d, const char *type, const char *status, const char *reason,
                          const char *fmt, ...)
{
    const struct value *c = condition_get(d->status, type);
    if (str_is(value_path_str(c, "status"), status) && str_is(value_path_str(c, "reason"), reason)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    condition_write(d, type, status, reason, arena_vprintf(d->a, fmt, ap));
    va_end(ap);
}

void deployment_pause_condition(struct deployment *d)
{
    if (!deployment_has_deadline(d)) {
        return;
    }
    struct str reason = value_path_str(condition_get(d->status, "Progressing"), "reason");
    bool said_paused = str_is(reason, "DeploymentPaused");
    if (str_is(reason, DEPLOYMENT_DEADLINE_EXCEEDED)) {
        return;
    }
    if (d->paused && !said_paused) {
        deployment_condition(d, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
    } else if (!d->paused && said_paused) {
        deployment_condition(d, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
    }
}

/* ---- Counters ---- */

struct counts {
    int64_t replicas, updated, ready, available;
};

static struct counts counts_now(const struct deployment *d)
{
    struct counts c = {0};
    for (unsigned i = 0; i < d->count; i++) {
        c.replicas += d->all[i]->status_replicas;
        c.ready += d->all[i]->status_ready;
        c.available += d->all[i]->status_available;
    }
    c.updated = d->latest != NULL ? d->latest->status_replicas : 0;
    return c;
}

static struct counts counts_before(const struct deployment *d)
{
    return (struct counts){
        .replicas = value_path_int(d->status, "replicas", 0),
        .updated = value_path_int(d->status, "updatedReplicas", 0),
        .ready = value_path_int(d->status, "readyReplicas", 0),
        .available = value_path_int(d->status, "availableReplicas", 0),
    };
}

/* What keeps a ReplicaSet from making pods is said of the Deployment as well; of the newest first. */
static void failure_copy(struct deployment *d)
{
    const struct value *found =
        d->latest == NULL ? NULL : condition_get(value_get(d->latest->doc, "status"), "ReplicaFailure");
    for (unsigned i = d->count; i-- > 0 && found == NULL;) {
        found = condition_get(value_get(d->all[i]->doc, "status"), "ReplicaFailure");
    }
    if (d->latest == NULL) {
        return; /* it says itself why there is none */
    }
    if (found != NULL) {
        struct str reason = value_path_str(found, "reason"), message = value_path_str(found, "message");
        deployment_condition(d, "ReplicaFailure", "True", arena_strndup(d->a, reason.p, reason.n), "%.*s",
                             STR_ARG(message));
    } else if (condition_remove(d->status, "ReplicaFailure")) {
        d->dirty = true;
    }
}

void deployment_status_count(struct deployment *d)
{
    struct counts c = counts_now(d);
    struct arena *a = d->a;
    bool changed = status_set_int(a, d->status, "observedGeneration", d->obj->generation, false);
    changed |= status_set_int(a, d->status, "replicas", c.replicas, false);
    changed |= status_set_int(a, d->status, "updatedReplicas", c.updated, false);
    changed |= status_set_int(a, d->status, "readyReplicas", c.ready, false);
    changed |= status_set_int(a, d->status, "availableReplicas", c.available, false);
    changed |= status_set_int(a, d->status, "unavailableReplicas", MAX(0, c.replicas - c.available), false);
    d->dirty |= changed;
    failure_copy(d);
    if (c.available >= d->replicas - d->max_unavailable) {
        deployment_condition(d, "Available", "True", "MinimumReplicasAvailable",
                             "Deployment has minimum availability.");
    } else {
        deployment_condition(d, "Available", "False", "MinimumReplicasUnavailable",
                             "Deployment does not have minimum availability.");
    }
}

bool deployment_complete(const struct deployment *d)
{
    struct counts c = counts_now(d);
    return c.updated == d->replicas && c.replicas == d->replicas && c.available == d->replicas;
}

/* ---- Progressing ---- */

static bool progressing(const struct counts *now, const struct counts *before)
{
    return now->updated > before->updated || now->replicas - now->updated < before->replicas - before->updated ||
           now->ready > before->ready || now->available > before->available;
}

static const char *subject(const struct deployment *d)
{
    return d->latest != NULL ? arena_printf(d->a, "ReplicaSet \"%.*s\"", STR_ARG(d->latest->name))
                             : arena_printf(d->a, "Deployment \"%.*s\"", STR_ARG(d->obj->name));
}

/* When the deadline passes; 0 if it does not run: finished, said already, or never begun. */
static int64_t deadline_at_ms(const struct deployment *d)
{
    const struct value *c = condition_get(d->status, "Progressing");
    struct str reason = value_path_str(c, "reason");
    if (c == NULL || str_is(reason, "NewReplicaSetAvailable") || str_is(reason, DEPLOYMENT_DEADLINE_EXCEEDED) ||
        str_is(reason, "DeploymentPaused")) {
        return 0;
    }
    return time_of(value_get(c, "lastUpdateTime")) + deadline_s(d) * 1000;
}

static void progress_write(struct deployment *d, const struct counts *before)
{
    struct counts now = counts_now(d);
    struct str reason = value_path_str(condition_get(d->status, "Progressing"), "reason");
    if (str_is(reason, DEPLOYMENT_CREATE_ERROR) && d->latest == NULL) {
        if (deadline_at_ms(d) <= d->in->wall_ms) { /* who follows the rollout hears of its end, and why */
            deployment_condition(d, "Progressing", "False", DEPLOYMENT_DEADLINE_EXCEEDED,
                                 "%s has timed out progressing: %.*s", subject(d),
                                 STR_ARG(value_path_str(condition_get(d->status, "Progressing"), "message")));
        }
        return;
    }
    /* Completed before and nothing new: a pod that fails later does not start the deadline. */
    if (now.replicas == now.updated && str_is(reason, "NewReplicaSetAvailable")) {
        return;
    }
    int64_t at_ms = deadline_at_ms(d);
    if (deployment_complete(d)) {
        deployment_condition(d, "Progressing", "True", "NewReplicaSetAvailable", "%s has successfully progressed.",
                             subject(d));
    } else if (progressing(&now, before)) {
        condition_write(d, "Progressing", "True", "ReplicaSetUpdated",
                        arena_printf(d->a, "%s is progressing.", subject(d)));
    } else if (at_ms > 0 && at_ms <= d->in->wall_ms) {
        deployment_condition(d, "Progressing", "False", DEPLOYMENT_DEADLINE_EXCEEDED, "%s has timed out progressing.",
                             subject(d));
        DECIDED(d->out, REASON_DEADLINE_EXCEEDED);
    }
}

void deployment_status_progress(struct deployment *d)
{
    struct counts before = counts_before(d);
    deployment_status_count(d);
    if (!deployment_has_deadline(d)) {
        d->dirty |= condition_remove(d->status, "Progressing");
        return;
    }
    progress_write(d, &before);
    int64_t at_ms = deadline_at_ms(d);
    if (at_ms > 0 && !deployment_complete(d)) {
        requeue_in(d->out, MAX(at_ms - d->in->wall_ms, 0) + 1);
    }
}
