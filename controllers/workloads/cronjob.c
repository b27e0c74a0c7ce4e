/* CronJob: a Job each time that its schedule names. Source: Kubernetes batch/v1 CronJob.
 *
 * A run is the Job and status.lastScheduleTime in one transaction, and the Job's name is that of the minute: so no run
 * is begun twice, whoever leads and however often, and however far the clock is set back. A clock that is behind
 * lastScheduleTime begins nothing until it is there again.
 *
 * Of several times that were missed (nobody led, it was suspended, a run went on under Forbid) the newest is made good,
 * within startingDeadlineSeconds; one that is older is told in an event, once. More than SCHEDULE_COUNT_MAX of them are
 * told in an event, and it goes on.
 *
 * status.active is what there is: the Jobs of this CronJob that it has begun itself and that have not ended. One that
 * somebody began by hand (`rctl create job --from`) hinders none, and counts for the history. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "controllers/deletion.h"
#include "controllers/registry.h"
#include "controllers/util.h"
#include "controllers/workloads/room.h"
#include "proto/facts/schedule.h"

#define COMPONENT      "cronjob-controller"
#define SCHEDULED_AT   "batch.kubernetes.io/cronjob-scheduled-timestamp"
#define ACTIVE_MAX     1000u  /* of Jobs at once; with so many no other is begun */
#define ZONE_RETRY_MS  600000 /* somebody may bring the zone */
#define LOOK_MS        60000  /* somebody may set the calendar, which no timer notices */
#define DELETED_TOLD   10u    /* of one reconcile */
#define SUCCEEDED_KEPT 3
#define FAILED_KEPT    1

struct cron {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    struct arena *a;
    const struct object *obj;
    struct value *doc, *spec, *status;
    int64_t now_s;
    struct object_list active, succeeded, failed;
    unsigned deleted;
    bool dirty;
};

/* ---- What there is ---- */

static bool has_ended(const struct object *job, const char *type)
{
    return condition_is(condition_mp(job, type), "True");
}

static void jobs_read(struct cron *c)
{
    struct view_iter it;
    view_iter_owned(&it, c->in->view, c->obj->uid, kind_of(KIND_JOB));
    VIEW_FOR(job, &it)
    {
        if (has_ended(job, "Complete")) {
            object_list_add(c->a, &c->succeeded, job);
        } else if (has_ended(job, "Failed")) {
            object_list_add(c->a, &c->failed, job);
        } else if (!str_empty(object_annotation(job, SCHEDULED_AT))) {
            object_list_add(c->a, &c->active, job);
        }
    }
}

static const struct object *by_uid(const struct object_list *l, struct str uid)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (str_eq(l->items[i]->uid, uid)) {
            return l->items[i];
        }
    }
    return NULL;
}

/* What was active and is no more. */
static void tell_ended(struct cron *c, const struct value *before)
{
    VALUE_FOR(i, before)
    {
        struct str uid = value_path_str(value_item(before, i), "uid"),
                   name = value_path_str(value_item(before, i), "name");
        bool well = by_uid(&c->succeeded, uid) != NULL;
        if (well || by_uid(&c->failed, uid) != NULL) {
            controller_event(c->out, c->in, c->obj, "Normal", "SawCompletedJob", COMPONENT,
                             "Saw completed job: %.*s, condition: %s", STR_ARG(name), well ? "Complete" : "Failed");
        } else if (by_uid(&c->active, uid) == NULL) {
            controller_event(c->out, c->in, c->obj, "Normal", "MissingJob", COMPONENT, "Active job went missing: %.*s",
                             STR_ARG(name));
        }
    }
}

static void active_update(struct cron *c)
{
    const struct value *before = value_get(c->status, "active");
    struct value *now = value_list(c->a);
    for (unsigned i = 0; i < c->active.count; i++) {
        const struct object *job = c->active.items[i];
        struct value *r = value_map(c->a);
        value_set(c->a, r, "kind", value_cstr(c->a, job->kind->name));
        value_set(c->a, r, "namespace", value_str(c->a, job->ns));
        value_set(c->a, r, "name", value_str(c->a, job->name));
        value_set(c->a, r, "uid", value_str(c->a, job->uid));
        value_set(c->a, r, "apiVersion", value_cstr(c->a, job->kind->api_version));
        value_append(c->a, now, r);
    }
    if (value_count(now) == 0 ? before == NULL : before != NULL && value_equal(now, before)) {
        return;
    }
    tell_ended(c, before);
    if (value_count(now) == 0) {
        value_remove(c->status, "active");
    } else {
        value_set(c->a, c->status, "active", now);
    }
    c->dirty = true;
}

static void last_successful_update(struct cron *c)
{
    int64_t newest = time_of(value_get(c->status, "lastSuccessfulTime")), before = newest;
    for (unsigned i = 0; i < c->succeeded.count; i++) {
        newest = MAX(newest, time_of_mp(mp_get(object_status(c->succeeded.items[i]), "completionTime")));
    }
    if (newest > before) {
        value_set(c->a, c->status, "lastSuccessfulTime", value_time(c->a, newest));
        c->dirty = true;
    }
}

/* ---- What is kept ---- */

/* One that was never begun counts as the newest. */
static int64_t began_ms(const struct object *job)
{
    int64_t ms = time_of_mp(mp_get(object_status(job), "startTime"));
    return ms == 0 ? INT64_MAX : ms;
}

static int compare_begin(const void *pa, const void *pb)
{
    const struct object *a = *(const struct object *const *)pa, *b = *(const struct object *const *)pb;
    int64_t x = began_ms(a), y = began_ms(b);
    return x != y ? (x > y ? 1 : -1) : str_cmp(a->name, b->name);
}

static int job_delete(struct cron *c, const struct object *job, struct error *err)
{
    const struct deletion_options options = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    if (c->deleted++ < DELETED_TOLD) {
        controller_event(c->out, c->in, c->obj, "Normal", "SuccessfulDelete", COMPONENT, "Deleted job %.*s",
                         STR_ARG(job->name));
    }
    return deletion_request(c->out->txn, c->a, job, &options, c->in->wall_ms, err);
}

/* The oldest go. */
static int history_trim(struct cron *c, struct object_list *ended, int64_t limit, struct error *err)
{
    unsigned surplus = (int64_t)ended->count > limit ? ended->count - (unsigned)limit : 0;
    int rv = 0;
    if (surplus == 0) {
        return 0;
    }
    qsort(ended->items, ended->count, sizeof *ended->items, compare_begin);
    for (unsigned i = 0; i < MIN(surplus, CONTROLLER_BATCH_MAX) && rv == 0; i++) {
        rv = ended->items[i]->deleting ? 0 : job_delete(c, ended->items[i], err);
    }
    if (surplus > CONTROLLER_BATCH_MAX) {
        requeue_in(c->out, 1);
    }
    return rv;
}

/* ---- The next run ---- */

/* "2026-03-29T03:00:00+02:00" */
static const char *zone_time(struct arena *a, const struct zone *zone, int64_t at_s)
{
    char text[TIMEFMT_SIZE];
    int32_t offset = zone_span_at(zone, at_s).offset_s, minutes = (offset < 0 ? -offset : offset) / 60;
    timefmt_rfc3339((at_s + offset) * 1000, text);
    if (offset == 0) {
        return arena_strdup(a, text);
    }
    return arena_printf(a, "%.*s%c%02d:%02d", (int)strlen(text) - 1, text, offset < 0 ? '-' : '+', minutes / 60,
                        minutes % 60);
}

static struct value *job_document(struct cron *c, struct str name, const struct zone *zone, int64_t at_s)
{
    static const char *const copied[] = {"labels", "annotations"};
    const struct value *template = value_get(c->spec, "jobTemplate");
    struct value *doc = value_map(c->a), *meta = value_ensure_map(c->a, doc, "metadata");
    value_set(c->a, doc, "apiVersion", value_cstr(c->a, kind_of(KIND_JOB)->api_version));
    value_set(c->a, doc, "kind", value_cstr(c->a, kind_of(KIND_JOB)->name));
    value_set(c->a, meta, "name", value_str(c->a, name));
    value_set(c->a, meta, "namespace", value_str(c->a, c->obj->ns));
    for (unsigned i = 0; i < ARRAY_SIZE(copied); i++) {
        const struct value *v = value_at(template, "metadata", copied[i], NULL);
        if (value_is_map(v)) {
            value_set(c->a, meta, copied[i], value_copy(c->a, v));
        }
    }
    value_set(c->a, value_ensure_map(c->a, meta, "annotations"), SCHEDULED_AT,
              value_cstr(c->a, zone_time(c->a, zone, at_s)));
    owner_add(c->a, doc, c->obj);
    value_set(c->a, doc, "spec", value_copy(c->a, value_get(template, "spec")));
    return doc;
}

static int active_replace(struct cron *c, struct error *err)
{
    int rv = 0;
    for (unsigned i = 0; i < c->active.count && rv == 0; i++) {
        rv = c->active.items[i]->deleting ? 0 : job_delete(c, c->active.items[i], err);
    }
    value_remove(c->status, "active"); /* one that needs time to go is there at the next look */
    return rv;
}

static int job_start(struct cron *c, const struct zone *zone, int64_t at_s, struct error *err)
{
    struct str policy = value_path_str(c->spec, "concurrencyPolicy");
    int rv = 0;
    if (namespace_closed(c->in->view, c->obj->ns)) {
        DECIDED(c->out, REASON_NAMESPACE_CLOSED);
        return 0;
    }
    if (str_is(policy, "Forbid") && c->active.count > 0) {
        controller_event(c->out, c->in, c->obj, "Normal", "JobAlreadyActive", COMPONENT,
                         "Not starting job because prior execution is running and concurrency policy is Forbid");
        DECIDED(c->out, REASON_RUN_GOES_ON, .what = c->active.items[0]->name);
        return 0;
    }
    if (c->active.count >= ACTIVE_MAX) {
        controller_event(c->out, c->in, c->obj, "Warning", "TooManyActiveJobs", COMPONENT,
                         "%u of its jobs have not ended: no other is begun until one has", c->active.count);
        return 0;
    }
    if (str_is(policy, "Replace")) {
        rv = active_replace(c, err);
    }
    struct str name = str_of(arena_printf(c->a, "%.*s-%" PRId64, STR_ARG(c->obj->name), at_s / 60));
    const struct object *there = view_get(c->in->view, kind_of(KIND_JOB), c->obj->ns, name);
    struct value *doc = there == NULL ? job_document(c, name, zone, at_s) : NULL;
    struct error why = {0};
    if (rv == 0 && doc != NULL && room_for(c->in, c->out, KIND_JOB, doc, 1, &why) == 0) {
        room_refused(c->in, c->out, c->obj, COMPONENT, 0, why.message);
        return 0; /* it is missed, and made good when there is room */
    }
    if (rv == 0 && doc != NULL) {
        rv = txn_create_value(c->out->txn, kind_of(KIND_JOB), doc, err);
        controller_event(c->out, c->in, c->obj, "Normal", "SuccessfulCreate", COMPONENT, "Created job %.*s",
                         STR_ARG(name));
        DECIDED(c->out, REASON_BEGINS_RUN, .what = name);
    } else if (rv == 0 && !str_eq(there->owner_uid, c->obj->uid)) {
        controller_event(c->out, c->in, c->obj, "Warning", "FailedCreate", COMPONENT,
                         "Error creating job: %.*s is there already, and is not of this CronJob: this run is left out",
                         STR_ARG(name));
    }
    value_set(c->a, c->status, "lastScheduleTime", value_time(c->a, at_s * 1000));
    c->dirty = true;
    return rv;
}

/* False: it is told why nothing can be begun. */
static bool timing_read(struct cron *c, struct schedule *schedule, const struct zone **zone)
{
    struct str text = value_path_str(c->spec, "schedule"), name = value_path_str(c->spec, "timeZone");
    const struct controller_soft *soft = c->in->soft;
    struct error why = {0};
    *zone = NULL;
    if (schedule_parse(text, schedule, &why) != 0) {
        controller_event(c->out, c->in, c->obj, "Warning", "UnparseableSchedule", COMPONENT,
                         "unparseable schedule: %.*s : %s", STR_ARG(text), why.message);
        return false;
    }
    if (str_empty(name) || str_is(name, "UTC") || str_is(name, "Etc/UTC")) {
        return true;
    }
    *zone = zone_name_is(name) && soft != NULL && soft->zone != NULL ? soft->zone(soft->data, name) : NULL;
    if (*zone == NULL) {
        controller_event(c->out, c->in, c->obj, "Warning", "UnknownTimeZone", COMPONENT,
                         "invalid timeZone: \"%.*s\": unknown time zone %.*s", STR_ARG(name), STR_ARG(name));
        requeue_in(c->out, ZONE_RETRY_MS);
        return false;
    }
    return true;
}

/* Behind which time the first one that counts comes. */
static int64_t earliest_s(const struct cron *c, int64_t made_s)
{
    const struct value *deadline = value_get(c->spec, "startingDeadlineSeconds");
    int64_t after = MAX(made_s, time_of(value_get(c->status, "lastScheduleTime")) / 1000);
    return value_is_null(deadline) ? after : MAX(after, c->now_s - count_bound(value_to_int(deadline, 0)) - 1);
}

/* "Thu, 01 Jan 2026 00:00:00 +0000" */
static const char *mail_time(struct arena *a, int64_t at_s)
{
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t day_of = at_s / 86400, second = at_s % 86400, year;
    unsigned month, day;
    timefmt_civil(day_of, &year, &month, &day);
    return arena_printf(a, "%s, %02u %s %04" PRId64 " %02" PRId64 ":%02" PRId64 ":%02" PRId64 " +0000",
                        days[day_of % 7], day, months[month - 1], year, second / 3600, second / 60 % 60, second % 60);
}

/* The newest time that has come and is too old now. Which one was told is remembered: the state does not have it. */
static void tell_missed(struct cron *c, const struct schedule *schedule, const struct zone *zone, int64_t made_s)
{
    int64_t after = MAX(made_s, time_of(value_get(c->status, "lastScheduleTime")) / 1000), told_s = 0;
    struct schedule_due due = schedule_due(schedule, zone, made_s, after, c->now_s);
    if (due.count == 0 || due.newest_s < 0) {
        return;
    }
    if (c->in->memory.n == sizeof told_s) {
        memcpy(&told_s, c->in->memory.p, sizeof told_s);
    }
    if (told_s != due.newest_s) {
        controller_event(c->out, c->in, c->obj, "Warning", "MissSchedule", COMPONENT,
                         "Missed scheduled time to start a job: %s", mail_time(c->a, due.newest_s));
    }
    c->out->memory = (struct str){arena_strndup(c->a, (const char *)&due.newest_s, sizeof told_s), sizeof told_s};
}

static int run_due(struct cron *c, struct error *err)
{
    struct schedule schedule;
    const struct zone *zone;
    int64_t made_s = object_created_ms(c->obj) / 1000;
    if (value_path_bool(c->spec, "suspend", false) || !timing_read(c, &schedule, &zone)) {
        return 0;
    }
    int64_t after = earliest_s(c, made_s), next = schedule_next(&schedule, zone, made_s, MAX(after, c->now_s));
    struct schedule_due due = schedule_due(&schedule, zone, made_s, after, c->now_s);
    if (next != SCHEDULE_NEVER) {
        requeue_in(c->out, MIN(next * 1000 - c->in->wall_ms, (int64_t)LOOK_MS));
    }
    if (due.count > SCHEDULE_COUNT_MAX) {
        controller_event(c->out, c->in, c->obj, "Warning", "TooManyMissedTimes", COMPONENT,
                         "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock "
                         "skew");
    }
    if (due.count == 0) {
        tell_missed(c, &schedule, zone, made_s);
        return 0;
    }
    return job_start(c, zone, due.newest_s, err);
}

/* ---- Reconcile ---- */

static int cronjob_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *o = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (o == NULL || o->deleting) {
        return 0; /* its Jobs are the garbage collection's */
    }
    struct cron c = {.in = in,
                     .out = out,
                     .a = out->arena,
                     .obj = o,
                     .doc = object_to_value(out->arena, o),
                     .now_s = in->wall_ms / 1000};
    c.spec = value_get(c.doc, "spec");
    if (!value_is_map(value_path(c.spec, "jobTemplate.spec.template.spec")) || str_empty(o->uid)) {
        return error_set_field(err, ERR_INVALID, "spec.jobTemplate",
                               "CronJob \"%.*s\" has no template: nothing can be made of it; delete it, or apply it "
                               "again",
                               STR_ARG(o->name));
    }
    c.status = value_ensure_map(c.a, c.doc, "status");
    jobs_read(&c);
    active_update(&c);
    last_successful_update(&c);
    int64_t well = count_bound(value_path_int(c.spec, "successfulJobsHistoryLimit", SUCCEEDED_KEPT)),
            badly = count_bound(value_path_int(c.spec, "failedJobsHistoryLimit", FAILED_KEPT));
    int rv = history_trim(&c, &c.succeeded, well, err);
    rv = rv == 0 ? history_trim(&c, &c.failed, badly, err) : rv;
    rv = rv == 0 ? run_due(&c, err) : rv;
    return rv == 0 && c.dirty ? txn_update_value(out->txn, o->kind, c.doc, TXN_PART_STATUS, o->revision, err) : rv;
}

/* ---- Watches ---- */

static bool is_over(const struct object *job)
{
    return has_ended(job, "Complete") || has_ended(job, "Failed");
}

/* What its pods do in between is the Job's matter. */
static void map_job(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                    void *data)
{
    (void)tip;
    bool same = old != NULL && now != NULL && str_eq(old->owner_uid, now->owner_uid) && is_over(old) == is_over(now) &&
                old->deleting == now->deleting;
    if (!same) {
        map_owner(KIND_CRONJOB, old, now, emit, data);
    }
}

static const struct controller_watch watches[] = {{KIND_CRONJOB, map_self}, {KIND_JOB, map_job}, {0, NULL}};
const struct controller controller_cronjob = {.name = "cronjob", .watches = watches, .reconcile = cronjob_reconcile};
