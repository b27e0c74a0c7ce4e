/* CronJobs among the others: clients ask for them, suspend and delete them, and delete and end their Jobs, while the
 * calendars of masters jump and leaders change. What must hold behind every transaction:
 *
 *  1. A CronJob never makes two Jobs of one name, whatever became of the first, and whatever a clock says.
 *  2. A Job of one is made by the transaction that notes its time in status.lastScheduleTime, and is named by it.
 *  3. lastScheduleTime never goes back.
 *  4. Under Forbid no run is begun while another one has not ended; and at most one is begun by a transaction.
 *
 * The Jobs are suspended, so they have no pods. Nothing is asked of controllers/workloads. */
#include <inttypes.h>
#include <stdio.h>

#include "base/timefmt.h"
#include "controllers/deletion.h"
#include "controllers/util.h"
#include "proto/facts/condition.h"
#include "tests/sim/cluster.h"

#define SALT     (UINT64_C(924) << 32) /* such that the seeds that were kept before have none of them */
#define CRONJOBS 3u

void runs_draw(struct cluster *c)
{
    c->running = rng_apart(c->seed, SALT);
    c->swarm.runs = rng_below(&c->running, 5) == 0 && !c->swarm.sets && !c->swarm.upgrades;
}

/* A run is short, and the shortest schedule a minute: so calendars go in leaps here, mostly ahead, each master's
 * own. */
bool runs_next(struct cluster *c)
{
    if (!c->swarm.runs) {
        return false;
    }
    for (uint64_t id = 1; id <= c->ids && rng_below(&c->running, 6) == 0; id++) {
        c->machines[id].skew_ms += (int64_t)rng_below(&c->running, 240000) - 80000;
    }
    return rng_below(&c->running, 2) == 0;
}

/* ---- What clients ask for ---- */

static const char *cronjob_text(struct rng *r, struct arena *a)
{
    static const char *const policies[] = {"Allow", "Forbid", "Replace"};
    static const char *const schedules[] = {"* * * * *", "* * * * *", "*/2 * * * *", "@every 1m"};
    const char *deadline = rng_below(r, 3) == 0 ? "startingDeadlineSeconds: 600, " : "";
    return arena_printf(a,
                        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: runs-%u, namespace: " NAMESPACE
                        "}, spec: {schedule: '%s', concurrencyPolicy: %s, %ssuccessfulJobsHistoryLimit: %u, "
                        "jobTemplate: {spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: "
                        "[{name: c, image: i}]}}}}}}",
                        (unsigned)rng_below(r, CRONJOBS), schedules[rng_below(r, ARRAY_SIZE(schedules))],
                        policies[rng_below(r, ARRAY_SIZE(policies))], deadline, (unsigned)rng_below(r, 3));
}

static bool is_run(const struct object *job)
{
    return str_is(mp_str(mp_get(owner_controller(job), "kind")), "CronJob");
}

static const struct object *one_of(const struct view *tip, struct rng *r, enum kind_id kind)
{
    const struct object *found = NULL;
    uint64_t n = rng_below(r, CRONJOBS);
    struct view_iter it;
    view_iter(&it, tip, kind_of(kind), STR(NAMESPACE));
    VIEW_FOR(o, &it)
    {
        if (!o->deleting && (kind == KIND_CRONJOB || is_run(o))) {
            found = found == NULL || n-- > 0 ? o : found;
        }
    }
    return found;
}

static int job_end(const struct object *job, struct arena *a, int64_t wall_ms, struct txn *t, struct error *err)
{
    struct value *doc = object_to_value(a, job), *status = value_ensure_map(a, doc, "status");
    condition_set(a, status, "Complete", "True", "Ended", "by a client", wall_ms, false);
    value_set(a, status, "completionTime", value_time(a, wall_ms));
    return txn_update_value(t, job->kind, doc, TXN_PART_STATUS, job->revision, err);
}

int runs_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct view *tip = store_tip(replica_store(life->replica));
    const struct deletion_options options = {.grace_s = -1, .policy = DELETION_BACKGROUND};
    struct rng r = {.state = life->c->seed ^ ((uint64_t)at << 21)};
    int64_t wall_ms = env_wall_ms(&life->env);
    uint64_t choice = rng_below(&r, 8);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (choice < 3) {
        return op_make(tip, cronjob_text(&r, &a), t, err);
    }
    const struct object *o = one_of(tip, &r, choice < 7 ? KIND_JOB : KIND_CRONJOB);
    if (o == NULL) {
        return error_set(err, ERR_NOT_FOUND, "nothing to change");
    }
    if (choice < 5) {
        return deletion_request(t, &a, o, &options, wall_ms, err);
    }
    if (choice < 7) {
        return job_end(o, &a, wall_ms, t, err);
    }
    struct value *doc = object_to_value(&a, o), *spec = value_get(doc, "spec");
    if (rng_below(&r, 4) == 0) {
        return deletion_request(t, &a, o, &options, wall_ms, err);
    }
    value_set(&a, spec, "suspend", value_bool(&a, !value_to_bool(value_get(spec, "suspend"), false)));
    return txn_update_value(t, o->kind, doc, TXN_PART_SPEC, o->revision, err);
}

/* ---- What must hold ---- */

static int64_t last_ms(const struct object *cronjob)
{
    return time_of_mp(mp_get(object_status(cronjob), "lastScheduleTime"));
}

static bool has_ended(const struct object *job)
{
    return condition_is(condition_mp(job, "Complete"), "True") || condition_is(condition_mp(job, "Failed"), "True");
}

static void judge_forbid(struct cluster *c, const struct view *before, const struct view *after,
                         const struct object *cronjob, const struct object *job)
{
    struct view_iter it;
    view_iter_owned(&it, before, cronjob->uid, kind_of(KIND_JOB));
    VIEW_FOR(other, &it)
    {
        if (!has_ended(other) && view_get(after, other->kind, other->ns, other->name) != NULL) {
            cluster_violate(c, "CronJob %.*s forbids it, and began %.*s while %.*s had not ended",
                            STR_ARG(cronjob->name), STR_ARG(job->name), STR_ARG(other->name));
        }
    }
}

static void judge_made(struct cluster *c, const struct view *before, const struct view *after, const struct object *job)
{
    const struct object *cronjob = owner_get(after, job->ns, owner_controller(job));
    char key[160];
    snprintf(key, sizeof key, "%.*s/%.*s", STR_ARG(job->owner_uid), STR_ARG(job->name));
    if (strmap_get(&c->begun, str_of(key)) != NULL) {
        cluster_violate(c, "Job %.*s was made twice", STR_ARG(job->name));
    }
    strmap_set(&c->begun, str_of(key), c);
    if (cronjob == NULL) {
        cluster_violate(c, "Job %.*s was made for a CronJob that is gone", STR_ARG(job->name));
        return;
    }
    const struct object *was = view_get(before, cronjob->kind, cronjob->ns, cronjob->name);
    snprintf(key, sizeof key, "%.*s-%" PRId64, STR_ARG(cronjob->name), last_ms(cronjob) / 60000);
    if (!str_is(job->name, key) || was == NULL || last_ms(was) == last_ms(cronjob)) {
        cluster_violate(c, "Job %.*s was made by a transaction that notes %s", STR_ARG(job->name), key);
    }
    if (str_is(mp_str(mp_get(object_spec(cronjob), "concurrencyPolicy")), "Forbid")) {
        judge_forbid(c, before, after, cronjob, job);
    }
}

void runs_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t)
{
    for (unsigned i = 0; i < t->count && c->swarm.runs; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        const struct object *o = now != NULL ? now : old;
        if (o->kind->id == KIND_CRONJOB && old != NULL && now != NULL && str_eq(old->uid, now->uid) &&
            last_ms(now) < last_ms(old)) {
            cluster_violate(c, "lastScheduleTime of CronJob %.*s went back", STR_ARG(now->name));
        }
        if (o->kind->id == KIND_JOB && old == NULL && is_run(now)) {
            judge_made(c, before, after, now);
        }
    }
}

/* ---- The end ---- */

/* Who is not suspended, nor hindered, nor of the future, has begun what the schedule names up to a minute ago. */
bool runs_settled(struct cluster *c, char why[256])
{
    int64_t wall_ms = env_wall_ms(&masters_leader(c)->env);
    struct view_iter it;
    view_iter(&it, c->ledger.model, kind_of(KIND_CRONJOB), STR(NAMESPACE));
    VIEW_FOR(o, &it)
    {
        struct mp spec = object_spec(o);
        bool each = str_is(mp_str(mp_get(spec, "schedule")), "* * * * *"),
             idle = mp_bool(mp_get(spec, "suspend"), false) || o->deleting ||
                    str_is(mp_str(mp_get(spec, "concurrencyPolicy")), "Forbid");
        int64_t since = MAX(last_ms(o), object_created_ms(o));
        if (c->swarm.runs && each && !idle && since < wall_ms - 125000) {
            snprintf(why, 256, "CronJob %.*s has begun nothing for %" PRId64 " s", STR_ARG(o->name),
                     (wall_ms - since) / 1000);
            return false;
        }
    }
    return true;
}
