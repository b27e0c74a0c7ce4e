/* CronJob: Jobs at times that a schedule names. Source: Kubernetes batch/v1 CronJob. */
#include <inttypes.h>
#include <strings.h>

#include "base/timefmt.h"
#include "proto/describe/parts.h"
#include "proto/facts/schedule.h"
#include "proto/kinds/job.h"
#include "proto/schema/release.h"

#define WIDTH         31  /* of the labels of a description */
#define CRON_NAME_MAX 52u /* the minute, in eleven characters, makes it a Job's name, which labels bear */
#define TEMPLATE      "spec.jobTemplate.spec.template"

/* clang-format off */
SCHEMA_STATIC(cronjob_spec, "CronJobSpec", "When what is to be run.",
    STRING("schedule", "Minute, hour, day of the month, month, day of the week, as crontab has them (\"*/10 8-17 * * "
           "mon-fri\"), or @hourly, @daily, @weekly, @monthly, @yearly.", REQUIRED),
    STRING("timeZone", "The place whose clock is meant (\"Europe/Berlin\"); absent: UTC.", NUMBER(8)),
    INT64("startingDeadlineSeconds", "A run that could not be begun in time is not begun later than this.", NUMBER(2)),
    STRING("concurrencyPolicy", "While a run goes on, Allow: the next begins beside it. Forbid: none does. Replace: it "
           "takes its place.", DEFAULT("Allow"), ONE_OF("Allow|Forbid|Replace")),
    BOOLEAN("suspend", "No run is begun.", DEFAULT("false")),
    OBJECT("jobTemplate", schema_job_template, "The Jobs to be made.", REQUIRED),
    INT32("successfulJobsHistoryLimit", "How many Jobs that have succeeded are kept.", DEFAULT("3")),
    INT32("failedJobsHistoryLimit", "How many Jobs that have failed are kept.", DEFAULT("1")));

SCHEMA_STATIC(cronjob_status, "CronJobStatus", "What is known of the runs.",
    OBJECTS("active", schema_object_reference, "The runs that have not ended."),
    TIME("lastScheduleTime", "The time that the last run was begun for.", NUMBER(4)),
    TIME("lastSuccessfulTime", "When a run last succeeded."));

SCHEMA_STATIC(cronjob, "CronJob", "Makes Jobs at times that a schedule names.",
    TYPE_META,
    OBJECT("spec", cronjob_spec, "When what is to be run.", REQUIRED),
    OBJECT("status", cronjob_status, "What is known of the runs.", .flags = FIELD_STATUS));
/* clang-format on */

static void cronjob_fill(struct arena *a, struct value *obj)
{
    job_fill_spec(a, value_at(obj, "spec", "jobTemplate", "spec", NULL));
}

/* ---- Rules ---- */

static void check_schedule(const struct value *v, const struct fpath *p, struct errlist *l)
{
    struct schedule schedule;
    struct error why = {0};
    if (value_to_str(v).n > 0 && schedule_parse(value_to_str(v), &schedule, &why) != 0) {
        bad_value(l, v, p, arena_strdup(l->arena, why.message));
    }
}

/* Whether there is such a zone is asked where it is needed (master/admission/time_zone.c). */
static void check_zone(const struct value *v, const struct fpath *p, struct errlist *l)
{
    struct str s = value_to_str(v);
    if (v == NULL) {
        return;
    }
    if (s.n == 0) {
        bad_value(l, v, p, "must be nil or non-empty string");
    } else if (s.n == 5 && strncasecmp(s.p, "local", 5) == 0) {
        bad_value(l, v, p, "must be an explicit time zone as defined in https://www.iana.org/time-zones");
    } else if (!zone_name_is(s)) {
        bad_value(l, v, p, arena_printf(l->arena, "unknown time zone %.*s", STR_ARG(s)));
    }
}

static void check_template(const struct value *template, const struct fpath *p, struct errlist *l)
{
    const struct value *meta = value_get(template, "metadata"), *spec = value_get(template, "spec");
    const struct fpath *at = FPATH_AT(p, "spec");
    check_labels(l, value_get(meta, "labels"), FPATH_AT(FPATH_AT(p, "metadata"), "labels"));
    check_annotations(l, value_get(meta, "annotations"), FPATH_AT(FPATH_AT(p, "metadata"), "annotations"));
    job_check_spec(spec, at, l);
    if (value_get(spec, "selector") != NULL) {
        bad_value(l, value_get(spec, "selector"), FPATH_AT(at, "selector"), "`selector` will be auto-generated");
    }
    if (value_to_bool(value_get(spec, "manualSelector"), false)) {
        bad_value(l, value_get(spec, "manualSelector"), FPATH_AT(at, "manualSelector"), "must be absent or false");
    }
}

static void cronjob_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const char *const counts[] = {"startingDeadlineSeconds", "successfulJobsHistoryLimit",
                                         "failedJobsHistoryLimit"};
    const struct value *spec = value_get(obj, "spec"), *was = value_get(old, "spec");
    const struct fpath *p = FPATH("spec");
    const struct value *name = value_at(obj, "metadata", "name", NULL);
    if (old == NULL && value_to_str(name).n > CRON_NAME_MAX) {
        bad_value(l, name, FPATH_AT(FPATH("metadata"), "name"), "must be no more than 52 characters");
    }
    if (was != NULL && spec != NULL && value_equal(spec, was)) {
        return; /* a change of the status: what was right is right */
    }
    check_schedule(value_get(spec, "schedule"), FPATH_AT(p, "schedule"), l);
    check_zone(value_get(spec, "timeZone"), FPATH_AT(p, "timeZone"), l);
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        check_at_least(l, value_get(spec, counts[i]), FPATH_AT(p, counts[i]), 0);
    }
    if (value_get(spec, "jobTemplate") != NULL) {
        check_template(value_get(spec, "jobTemplate"), FPATH_AT(p, "jobTemplate"), l);
    }
}

/* ---- Columns ---- */

static void cell_schedule(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_spec(o), "schedule"));
}

static void cell_zone(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_spec(o), "timeZone"));
}

static void cell_suspend(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_puts(out, mp_bool(mp_get(object_spec(o), "suspend"), false) ? "True" : "False");
}

static void cell_active(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_printf(out, "%u", (unsigned)mp_count(mp_get(object_status(o), "active")));
}

static void cell_last(struct buf *out, const struct object *o, int64_t now_ms)
{
    struct str time = mp_str(mp_get(object_status(o), "lastScheduleTime"));
    if (time.n == 0) {
        buf_puts(out, "<none>");
    } else {
        cell_age(out, time, now_ms);
    }
}

static void cell_names(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), TEMPLATE ".spec.containers"), "name");
}

static void cell_images(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_containers(out, mp_path(object_mp(o), TEMPLATE ".spec.containers"), "image");
}

/* The masters make a selector for each Job. */
static void cell_selector(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)o;
    (void)now_ms;
    buf_puts(out, "<none>");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "SCHEDULE", .cell = cell_schedule},
    {.title = "TIMEZONE", .cell = cell_zone},
    {.title = "SUSPEND", .cell = cell_suspend},
    {.title = "ACTIVE", .cell = cell_active, .value = COLUMN_INTEGER},
    {.title = "LAST SCHEDULE", .cell = cell_last},
    {.title = "AGE"},
    {.title = "CONTAINERS", .wide = true, .cell = cell_names},
    {.title = "IMAGES", .wide = true, .cell = cell_images},
    {.title = "SELECTOR", .wide = true, .cell = cell_selector},
};

/* ---- Description ---- */

static void int_line(struct buf *out, const char *label, struct mp v, const char *unit)
{
    describe_label(out, 0, WIDTH, label);
    if (mp_type(v) == MP_INT || mp_type(v) == MP_UINT) {
        buf_printf(out, "%" PRId64 "%s\n", mp_int(v, 0), unit);
    } else {
        buf_puts(out, "<unset>\n");
    }
}

static void active_line(struct buf *out, struct mp active)
{
    const char *before = "";
    describe_label(out, 0, WIDTH, "Active Jobs:");
    for (struct mp_iter it = mp_iter(active); mp_next(&it); before = ", ") {
        struct str name = mp_str(mp_get(it.value, "name"));
        buf_printf(out, "%s%.*s", before, STR_ARG(name));
    }
    buf_puts(out, mp_count(active) == 0 ? "<none>\n" : "\n");
}

static void cronjob_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp spec = object_spec(o), status = object_status(o), job = mp_path(spec, "jobTemplate.spec");
    struct str last = mp_str(mp_get(status, "lastScheduleTime")), zone = mp_str(mp_get(spec, "timeZone"));
    describe_head(out, o, WIDTH);
    describe_text(out, 0, WIDTH, "Schedule:", mp_str(mp_get(spec, "schedule")));
    if (zone.n > 0) {
        describe_text(out, 0, WIDTH, "Time Zone:", zone);
    }
    describe_text(out, 0, WIDTH, "Concurrency Policy:", mp_str(mp_get(spec, "concurrencyPolicy")));
    describe_text(out, 0, WIDTH, "Suspend:", mp_bool(mp_get(spec, "suspend"), false) ? STR("True") : STR("False"));
    int_line(out, "Successful Job History Limit:", mp_get(spec, "successfulJobsHistoryLimit"), "");
    int_line(out, "Failed Job History Limit:", mp_get(spec, "failedJobsHistoryLimit"), "");
    int_line(out, "Starting Deadline Seconds:", mp_get(spec, "startingDeadlineSeconds"), "s");
    describe_text(out, 0, WIDTH, "Selector:", STR("<unset>"));
    int_line(out, "Parallelism:", mp_get(job, "parallelism"), "");
    int_line(out, "Completions:", mp_get(job, "completions"), "");
    if (mp_get(job, "activeDeadlineSeconds").p != NULL) {
        int_line(out, "Active Deadline Seconds:", mp_get(job, "activeDeadlineSeconds"), "s");
    }
    buf_puts(out, "Pod Template:\n");
    describe_pod_template(out, mp_get(job, "template"), 1);
    if (last.n > 0) {
        describe_time(out, 0, WIDTH, "Last Schedule Time:", last);
    } else {
        describe_text(out, 0, WIDTH, "Last Schedule Time:", STR("<unset>"));
    }
    active_line(out, mp_get(status, "active"));
    describe_events(out, c);
}

static void cronjob_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    pod_spec_references(mp_path(object_mp(o), TEMPLATE ".spec"), o->ns, cb, data);
}

static const struct kind_version versions[] = {{"batch/v1beta1", NULL, NULL, .read_only = true}, {0}};

const struct kind kind_cronjob = {
    .id = KIND_CRONJOB,
    .name = "CronJob",
    .api_version = "batch/v1",
    .plural = "cronjobs",
    .singular = "cronjob",
    .short_names = "cj",
    .since = RELEASE_LEVEL_CARRIED,
    .versions = versions,
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .schema = &cronjob,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = cronjob_validate,
    .fill = cronjob_fill,
    .doubt = cronjob_doubt,
    .references = cronjob_references,
    .in_all = true,
    .is_pruned = true,
    .pods = TEMPLATE ".spec",
    .describe = cronjob_describe,
};
