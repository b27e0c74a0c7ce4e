/* Job: pods until so many of them have succeeded. Source: Kubernetes batch/v1 Job.
 *
 * The end of a Job comes in two steps, as there: FailureTarget or SuccessCriteriaMet says what it will be, and when no
 * pod of it is left, Failed or Complete says that it is. After a failure the next pod waits, 10 s and then ever longer;
 * how long is an annotation of the Job, so that no leader forgets it. With backoffLimitPerIndex each index waits by
 * itself, from the end of its last pod on, which is there. */
#include "controllers/workloads/job.h"
#include "controllers/workloads/pods.h"
#include "controllers/workloads/room.h"

#include <assert.h>

#include "base/timefmt.h"
#include "controllers/deletion.h"
#include "controllers/registry.h"

#define REST_PODS 1000u /* with more than this it rests a millisecond for each 20 of them between two looks */
#define BACKOFF   "job.reeve.io/backoff" /* annotation: "FAILURES TIME" */

/* ---- What is written on the Job ---- */

static void set_int(struct job *j, const char *name, int64_t v, bool keep_zero)
{
    j->dirty |= status_set_int(j->a, j->status, name, v, keep_zero);
}

static void set_text(struct job *j, struct value *map, const char *name, struct str v)
{
    if (!str_eq(value_path_str(map, name), v) || (v.n == 0 && value_get(map, name) != NULL)) {
        j->dirty = true;
        if (v.n == 0) {
            value_remove(map, name);
        } else {
            value_set(j->a, map, name, value_str(j->a, v));
        }
    }
}

static void set_indexes(struct job *j, const char *name, const struct indexes *s)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    indexes_write(&text, s);
    set_text(j, j->status, name, buf_str(&text));
}

static bool has(const struct job *j, const char *type)
{
    return str_is(value_path_str(condition_get(j->status, type), "status"), "True");
}

static void say(struct job *j, const char *type, const char *condition_status, const char *reason, const char *message)
{
    j->dirty |= condition_set(j->a, j->status, type, condition_status, reason, message, j->in->wall_ms, false);
}

/* Labels and selector by which its pods are found. */
static void name_pods(struct job *j)
{
    struct value *template = value_ensure_map(j->a, j->spec, "template");
    struct value *labels = value_ensure_map(j->a, value_ensure_map(j->a, template, "metadata"), "labels");
    const struct {
        const char *name;
        struct str v;
    } rows[] = {{"batch.kubernetes.io/controller-uid", j->obj->uid},
                {"batch.kubernetes.io/job-name", j->obj->name},
                {"controller-uid", j->obj->uid},
                {"job-name", j->obj->name}};
    if (value_to_bool(value_get(j->spec, "manualSelector"), false) || value_get(j->spec, "selector") != NULL) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (name_is_label_value(rows[i].v)) { /* a long name is none */
            value_set(j->a, labels, rows[i].name, value_str(j->a, rows[i].v));
        }
    }
    struct value *match = value_ensure_map(j->a, value_ensure_map(j->a, j->spec, "selector"), "matchLabels");
    value_set(j->a, match, rows[0].name, value_str(j->a, rows[0].v));
    j->dirty = true;
}

/* ---- Its end ---- */

static void will_fail(struct job *j, const char *reason, const char *message)
{
    if (!has(j, "FailureTarget") && !has(j, "SuccessCriteriaMet")) {
        say(j, "FailureTarget", "True", reason, message);
    }
}

static void will_succeed(struct job *j, const char *reason, const char *message)
{
    if (!has(j, "FailureTarget") && !has(j, "SuccessCriteriaMet")) {
        say(j, "SuccessCriteriaMet", "True", reason, message);
    }
}

static void check_success_policy(struct job *j)
{
    const struct value *rules = value_path(j->spec, "successPolicy.rules");
    VALUE_FOR(i, rules)
    {
        const struct value *rule = value_item(rules, i);
        struct str which = value_path_str(rule, "succeededIndexes");
        int64_t done = indexes_count(&j->done), need = value_path_int(rule, "succeededCount", -1);
        if (which.n > 0) {
            struct indexes wanted;
            if (!indexes_parse(&wanted, j->a, which, j->completions)) {
                continue;
            }
            done = indexes_common(&wanted, &j->done);
            need = need < 0 ? indexes_count(&wanted) : need;
        }
        if (need >= 0 && done >= need) {
            will_succeed(j, "SuccessPolicy", arena_printf(j->a, "Matched rules at index %u", i));
            return;
        }
    }
}

static void check_failure(struct job *j)
{
    int64_t deadline = value_path_int(j->spec, "activeDeadlineSeconds", -1), bad = indexes_count(&j->failed_indexes);
    int64_t start = time_of(value_get(j->status, "startTime"));
    int64_t left = deadline < 0 || start == 0 ? INT64_MAX : start + count_bound(deadline) * 1000 - j->in->wall_ms;
    if (j->fails != NULL) {
        will_fail(j, "PodFailurePolicy", j->fails);
    } else if (j->failed > j->backoff_limit ||
               (j->on_failure && j->restarts > 0 && j->restarts + j->failed >= MAX(j->backoff_limit, 1))) {
        will_fail(j, "BackoffLimitExceeded", "Job has reached the specified backoff limit");
    } else if (j->failed_indexes_max >= 0 && bad > j->failed_indexes_max) {
        will_fail(j, "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes");
    } else if (j->indexed && bad > 0 && bad + indexes_count(&j->done) >= j->completions) {
        will_fail(j, "FailedIndexes", "Job has failed indexes");
    } else if (left <= 0 && !j->suspended) {
        will_fail(j, "DeadlineExceeded", "Job was active longer than specified deadline");
    } else if (left < INT64_MAX && !j->suspended) {
        requeue_in(j->out, left);
    }
}

static void check_success(struct job *j)
{
    bool queue_done = j->completions < 0 && j->succeeded > 0 && j->active.count == 0 && j->uncounted == 0;
    if ((j->completions >= 0 && j->succeeded >= j->completions) || queue_done) {
        will_succeed(j, "CompletionsReached", "Reached expected number of succeeded pods");
    }
    check_success_policy(j);
}

/* No pod is left: what was said holds. */
static void finish(struct job *j)
{
    bool failed = has(j, "FailureTarget");
    const struct value *why = condition_get(j->status, failed ? "FailureTarget" : "SuccessCriteriaMet");
    const char *reason = arena_printf(j->a, "%.*s", STR_ARG(value_path_str(why, "reason")));
    const char *message = arena_printf(j->a, "%.*s", STR_ARG(value_path_str(why, "message")));
    char now[TIMEFMT_SIZE];
    if (failed) {
        say(j, "Failed", "True", reason, message);
        controller_event(j->out, j->in, j->obj, "Warning", reason, JOB_COMPONENT, "%s", message);
        return;
    }
    timefmt_rfc3339(j->in->wall_ms, now);
    say(j, "Complete", "True", reason, message);
    set_text(j, j->status, "completionTime", str_of(now));
    controller_event(j->out, j->in, j->obj, "Normal", "Completed", JOB_COMPONENT, "Job completed");
}

/* ---- Waiting after failures ---- */

/* Until when no pod is made; 0: now. Notes what has failed and succeeded in this reconcile. */
static int64_t backoff_until(struct job *j)
{
    struct value *meta = value_get(j->doc, "metadata"), *annotations = value_get(meta, "annotations");
    struct str text = value_to_str(value_get(annotations, BACKOFF)), time = STR_NONE;
    int64_t n = 0, since = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ' ') {
            str_to_int64((struct str){text.p, i}, &n);
            time = (struct str){text.p + i + 1, text.n - i - 1};
            break;
        }
    }
    timefmt_parse(time, &since);
    n = count_bound(n);
    /* A failure in the future was dated by another clock: the waiting begins now, once. */
    bool ahead = n > 0 && since > j->in->wall_ms && j->newly_succeeded == 0;
    unsigned failures = j->newly_failed + j->newly_ignored;
    if (ahead || (failures > 0 && j->newly_succeeded == 0)) {
        char at[TIMEFMT_SIZE];
        n += failures;
        since = failures > 0 ? j->last_failure_ms : j->in->wall_ms;
        timefmt_rfc3339_ms(since, at);
        value_set(j->a, value_ensure_map(j->a, meta, "annotations"), BACKOFF,
                  value_cstr(j->a, arena_printf(j->a, "%lld %s", (long long)n, at)));
        j->dirty = true;
    } else if (j->newly_succeeded > 0 && n > 0) {
        value_remove(annotations, BACKOFF);
        j->dirty = true;
        n = 0;
    }
    return n == 0 ? 0 : since + job_backoff_ms(n);
}

/* ---- As many pods as there may be ---- */

static int64_t wanted_pods(const struct job *j)
{
    if (j->suspended) {
        return 0;
    }
    if (j->completions < 0) {
        return j->succeeded > 0 ? MIN((int64_t)j->active.count, j->parallelism) : j->parallelism;
    }
    return MAX(0, MIN(j->parallelism, j->completions - j->succeeded - indexes_count(&j->failed_indexes)));
}

static int manage(struct job *j, int64_t not_before, struct error *err)
{
    int64_t wanted = wanted_pods(j), there = j->active.count + (j->replace_ended ? j->terminating : 0);
    if (j->active.count > wanted) {
        j->dirty = true;
        return job_give_up(j, (unsigned)MIN(j->active.count - wanted, (int64_t)UINT32_MAX), err);
    }
    if (there >= wanted) {
        return 0;
    }
    if (not_before > j->in->wall_ms) {
        requeue_in(j->out, not_before - j->in->wall_ms);
        return 0;
    }
    int rv = job_create_pods(j, wanted - there, err);
    if (j->created >= JOB_CREATE_MAX && j->refused == NULL) {
        requeue_in(j->out, 1);
    }
    return rv;
}

/* ---- Suspended, begun ---- */

static void begin(struct job *j)
{
    char now[TIMEFMT_SIZE];
    timefmt_rfc3339(j->in->wall_ms, now);
    bool was = has(j, "Suspended");
    if (j->suspended && !was) {
        say(j, "Suspended", "True", "JobSuspended", "Job suspended");
        set_text(j, j->status, "startTime", STR_NONE);
        controller_event(j->out, j->in, j->obj, "Normal", "Suspended", JOB_COMPONENT, "Job suspended");
    } else if (!j->suspended && was) {
        say(j, "Suspended", "False", "JobResumed", "Job resumed");
        controller_event(j->out, j->in, j->obj, "Normal", "Resumed", JOB_COMPONENT, "Job resumed");
    }
    if (!j->suspended && value_get(j->status, "startTime") == NULL) {
        set_text(j, j->status, "startTime", str_of(now));
    }
}

/* ---- Reconcile ---- */

static bool job_read(struct job *j, struct error *err, int *rv)
{
    j->spec = value_get(j->doc, "spec");
    if (!value_is_map(value_path(j->spec, "template.spec")) || str_empty(j->obj->uid)) {
        *rv = error_set_field(err, ERR_INVALID, "spec.template",
                              "Job \"%.*s\" has no template: nothing can be made of it; delete it, or make it again",
                              STR_ARG(j->obj->name));
        return false;
    }
    j->status = value_ensure_map(j->a, j->doc, "status");
    j->indexed = str_is(value_path_str(j->spec, "completionMode"), "Indexed");
    j->suspended = value_to_bool(value_get(j->spec, "suspend"), false);
    j->on_failure = str_is(value_path_str(j->spec, "template.spec.restartPolicy"), "OnFailure");
    j->replace_ended = str_is(value_path_str(j->spec, "podReplacementPolicy"), "Failed");
    j->parallelism = count_bound(value_path_int(j->spec, "parallelism", 1));
    const struct value *completions = value_get(j->spec, "completions");
    j->completions = value_is_null(completions) ? -1 : count_bound(value_to_int(completions, 1));
    j->backoff_limit = count_bound(value_path_int(j->spec, "backoffLimit", 6));
    const struct value *per_index = value_get(j->spec, "backoffLimitPerIndex"),
                       *most = value_get(j->spec, "maxFailedIndexes");
    j->per_index = value_is_null(per_index) ? -1 : count_bound(value_to_int(per_index, 0));
    j->failed_indexes_max = value_is_null(most) ? -1 : count_bound(value_to_int(most, 0));
    j->succeeded = count_bound(value_path_int(j->status, "succeeded", 0));
    j->failed = count_bound(value_path_int(j->status, "failed", 0));
    if (j->indexed) {
        j->completions = MAX(j->completions, 0);
        indexes_parse(&j->done, j->a, value_path_str(j->status, "completedIndexes"), (int64_t)INT32_MAX + 1);
        indexes_parse(&j->failed_indexes, j->a, value_path_str(j->status, "failedIndexes"), (int64_t)INT32_MAX + 1);
        /* "Elastic": completions has become less. What has succeeded above is not one of those that are wanted. */
        indexes_cut(&j->failed_indexes, j->completions);
        if (indexes_cut(&j->done, j->completions)) {
            j->succeeded = indexes_count(&j->done);
        }
    }
    return true;
}

/* It is over: finalizers that are left go, and so does the Job when its time has come. */
static int over(struct job *j, struct error *err)
{
    bool left;
    int rv = job_release_pods(j, true, &left, err);
    const struct value *ttl = value_get(j->spec, "ttlSecondsAfterFinished");
    if (left) {
        requeue_in(j->out, 1);
    }
    if (rv != 0 || value_is_null(ttl) || j->out->txn->count > 0) {
        return rv;
    }
    const struct value *end = condition_get(j->status, has(j, "Failed") ? "Failed" : "Complete");
    int64_t due = time_of(value_get(end, "lastTransitionTime")) + count_bound(value_to_int(ttl, 0)) * 1000;
    if (due > j->in->wall_ms) {
        requeue_in(j->out, due - j->in->wall_ms);
        return 0;
    }
    const struct deletion_options options = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    DECIDED(j->out, REASON_EXPIRED);
    return deletion_request(j->out->txn, j->a, j->obj, &options, j->in->wall_ms, err);
}

static void status_write(struct job *j)
{
    set_int(j, "active", (int64_t)j->active.count + j->created, false);
    set_int(j, "ready", j->ready, true);
    set_int(j, "terminating", j->terminating, true);
    set_int(j, "succeeded", j->succeeded, false);
    set_int(j, "failed", j->failed, false);
    if (j->indexed) {
        set_indexes(j, "completedIndexes", &j->done);
        set_indexes(j, "failedIndexes", &j->failed_indexes);
    }
}

static int act(struct job *j, struct error *err)
{
    name_pods(j);
    begin(j);
    int rv = job_count_pods(j, err);
    rv = rv == 0 ? job_release_held(j, err) : rv;
    int64_t not_before = backoff_until(j);
    if (rv != 0) {
        return rv;
    }
    check_failure(j);
    check_success(j);
    if (has(j, "FailureTarget") || has(j, "SuccessCriteriaMet")) {
        if (j->active.count > 0) {
            rv = job_give_up(j, j->active.count, err);
        } else if (j->terminating == 0 && j->uncounted == 0 && j->given_up.count == 0) {
            finish(j);
        }
    } else if (j->uncounted == 0) {
        rv = manage(j, j->per_index >= 0 ? 0 : not_before, err);
    }
    if (j->uncounted > 0) {
        requeue_in(j->out, 1);
    }
    if (j->pods > REST_PODS) {
        j->out->rest_ms = MAX(j->out->rest_ms, (int64_t)(j->pods / 20));
    }
    status_write(j);
    if (rv == 0 && j->dirty) {
        rv = txn_update_value(j->out->txn, j->obj->kind, j->doc, TXN_PART_ALL, j->obj->revision, err);
    }
    return rv;
}

/* The Job of a pod is gone: nobody counts it any more. */
static int pod_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *pod = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (pod == NULL || !job_has_finalizer(pod) || owner_get(in->view, pod->ns, owner_controller(pod)) != NULL) {
        return 0;
    }
    DECIDED(out, REASON_TAKES_OFF_FINALIZER, .what = STR(JOB_FINALIZER));
    return job_strip(out, pod, err);
}

static int job_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    if (in->key.kind->id == KIND_POD) {
        return pod_reconcile(in, out, err);
    }
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL) {
        return 0;
    }
    struct job j = {.in = in, .out = out, .obj = o, .a = out->arena, .doc = object_to_value(out->arena, o)};
    int rv = 0;
    if (!job_read(&j, err, &rv)) {
        return rv;
    }
    if (o->deleting) {
        bool left;
        rv = job_release_pods(&j, false, &left, err);
        if (left) {
            requeue_in(out, 1);
        }
        return rv;
    }
    return has(&j, "Complete") || has(&j, "Failed") ? over(&j, err) : act(&j, err);
}

/* ---- Watches ---- */

static void map_pod(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    map_owner(KIND_JOB, old, now, emit, data);
    if (now != NULL && (now->owner_kind == KIND_JOB || now->owner_kind == 0) && job_has_finalizer(now) &&
        owner_get(tip, now->ns, owner_controller(now)) == NULL) {
        emit(data, now->kind, now->ns, now->name);
    }
}

static void map_job(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    map_self(tip, old, now, emit, data);
    if (now != NULL || old == NULL) {
        return;
    }
    struct view_iter it;
    view_iter_owned(&it, tip, old->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        map_pod(tip, NULL, pod, emit, data);
    }
}

/* With a new leader: the last one may have died before it came to the pods of a Job that is gone. */
static void job_resync(const struct view *tip, const struct object *o, controller_emit *emit, void *data)
{
    if (o->kind->id == KIND_JOB) {
        emit(data, o->kind, o->ns, o->name);
    } else if (o->kind->id == KIND_POD && job_has_finalizer(o)) {
        map_pod(tip, NULL, o, emit, data);
    }
}

static bool waits(const struct object *job)
{
    return mp_int(mp_get(object_status(job), "active"), 0) < mp_int(mp_get(object_spec(job), "parallelism"), 1) &&
           !condition_is(condition_mp(job, "Complete"), "True") && !condition_is(condition_mp(job, "Failed"), "True");
}

static const struct controller_watch watches[] = {{KIND_JOB, map_job}, {KIND_POD, map_pod}, {0, NULL}};
const struct controller controller_job = {.name = "job",
                                          .watches = watches,
                                          .reconcile = job_reconcile,
                                          .resync = job_resync,
                                          .shared = pods_watches,
                                          .waits = waits};
