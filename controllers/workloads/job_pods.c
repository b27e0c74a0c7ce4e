/* The pods of a Job: counted when they end, made, taken away.
 *
 * Each pod bears JOB_FINALIZER until it is counted. The transaction that takes the finalizer away writes the counts, so
 * each end counts once, whoever leads and whoever deletes the pod. A pod that is taken away by the Job itself (fewer
 * may run, it is suspended, it is over) loses its finalizer first: it counts as nothing.
 *
 * With backoffLimitPerIndex the failures of an index are known from its pods alone. There a pod that failed is marked
 * as counted instead, and keeps its finalizer until its successor knows of them. */
#include <assert.h>
#include <stdlib.h>

#include "base/strmap.h"
#include "controllers/accounts.h"
#include "controllers/deletion.h"
#include "controllers/workloads/job.h"
#include "controllers/workloads/pods.h"
#include "controllers/workloads/room.h"

#define GIVEN_UP "job.reeve.io/given-up" /* annotation */
#define COUNTED  "job.reeve.io/counted"  /* annotation: when it failed, beside the finalizer that holds it */

int64_t job_index_of(const struct object *pod)
{
    int64_t n;
    return str_to_int64(object_annotation(pod, JOB_INDEX), &n) && n >= 0 && n <= INT32_MAX ? n : -1;
}

static void finalizer_remove(struct value *doc)
{
    struct value *meta = value_get(doc, "metadata"), *list = value_get(meta, "finalizers");
    list_remove_str(list, JOB_FINALIZER);
    if (value_count(list) == 0) {
        value_remove(meta, "finalizers");
    }
}

static void annotate(struct job *j, struct value *annotations, const char *key, int64_t n)
{
    value_set(j->a, annotations, key, value_cstr(j->a, arena_printf(j->a, "%lld", (long long)n)));
}

int job_strip(struct reconcile_out *out, const struct object *pod, struct error *err)
{
    struct value *doc = object_to_value(out->arena, pod);
    finalizer_remove(doc);
    return txn_update_value(out->txn, pod->kind, doc, TXN_PART_ALL, pod->revision, err);
}

/* It counts as nothing, for its index neither; there it is marked, as failures of an index are those of its pods. */
static int give_up(struct job *j, const struct object *pod, struct error *err)
{
    struct value *doc = object_to_value(j->a, pod);
    finalizer_remove(doc);
    if (j->per_index >= 0) {
        struct value *annotations = value_ensure_map(j->a, value_get(doc, "metadata"), "annotations");
        value_set(j->a, annotations, GIVEN_UP, value_cstr(j->a, "true"));
    }
    return txn_update_value(j->out->txn, pod->kind, doc, TXN_PART_ALL, pod->revision, err);
}

int job_release_pods(struct job *j, bool all, bool *left, struct error *err)
{
    struct view_iter it;
    unsigned n = 0;
    int rv = 0;
    *left = false;
    view_iter_owned(&it, j->in->view, j->obj->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        if (rv != 0 || !job_has_finalizer(pod) || !(all || pod->deleting || pod_finished(pod))) {
            continue;
        }
        if (n++ >= CONTROLLER_BATCH_MAX) {
            *left = true;
            break;
        }
        rv = job_strip(j->out, pod, err);
    }
    return rv;
}

/* ---- What a failure means ---- */

static bool code_matches(const struct value *rule, struct mp pod, struct str *container, int64_t *code)
{
    const struct value *codes = value_get(rule, "onExitCodes"), *values = value_get(codes, "values");
    struct str only = value_path_str(codes, "containerName");
    bool in = str_is(value_path_str(codes, "operator"), "In");
    static const char *const lists[] = {"status.containerStatuses", "status.initContainerStatuses"};
    for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
        for (struct mp_iter it = mp_iter(mp_path(pod, lists[k])); mp_next(&it);) {
            struct mp exit = mp_path(it.value, "state.terminated.exitCode");
            *container = mp_str(mp_get(it.value, "name"));
            *code = mp_int(exit, 0);
            if (*code == 0 || (only.n > 0 && !str_eq(only, *container))) {
                continue;
            }
            bool found = false;
            VALUE_FOR(i, values)
            {
                found = found || value_to_int(value_item(values, i), -1) == *code;
            }
            if (found == in) {
                return true;
            }
        }
    }
    return false;
}

static bool condition_matches(const struct value *rule, const struct object *pod)
{
    const struct value *list = value_get(rule, "onPodConditions");
    VALUE_FOR(i, list)
    {
        const struct value *c = value_item(list, i);
        struct str type = value_path_str(c, "type"), wanted = value_path_str(c, "status");
        struct mp has = condition_in(mp_get(object_status(pod), "conditions"), type);
        if (str_eq(mp_str(mp_get(has, "status")), wanted.n > 0 ? wanted : STR("True"))) {
            return true;
        }
    }
    return false;
}

enum verdict { COUNTS, IS_IGNORED, FAILS_INDEX, FAILS_JOB };

/* *fails: of FAILS_JOB, the message. */
static enum verdict judge(struct job *j, const struct object *pod, const char **fails)
{
    const struct value *rules = value_path(j->spec, "podFailurePolicy.rules");
    VALUE_FOR(i, rules)
    {
        const struct value *rule = value_item(rules, i);
        struct str action = value_path_str(rule, "action"), container = STR_NONE;
        int64_t code = 0;
        bool by_code = value_get(rule, "onExitCodes") != NULL;
        if (by_code ? !code_matches(rule, object_mp(pod), &container, &code) : !condition_matches(rule, pod)) {
            continue;
        }
        if (str_is(action, "FailJob")) {
            *fails = by_code
                         ? arena_printf(j->a,
                                        "Container %.*s for pod %.*s/%.*s failed with exit code %lld matching "
                                        "FailJob rule at index %u",
                                        STR_ARG(container), STR_ARG(pod->ns), STR_ARG(pod->name), (long long)code, i)
                         : arena_printf(j->a, "Pod %.*s/%.*s has a condition matching FailJob rule at index %u",
                                        STR_ARG(pod->ns), STR_ARG(pod->name), i);
            return FAILS_JOB;
        }
        return str_is(action, "Ignore") ? IS_IGNORED : str_is(action, "FailIndex") ? FAILS_INDEX : COUNTS;
    }
    return COUNTS;
}

/* ---- Counting ---- */

static int64_t fails_before(const struct object *pod, const char *which)
{
    int64_t n = 0;
    return str_to_int64(object_annotation(pod, which), &n) ? count_bound(n) : 0;
}

static void count_success(struct job *j, const struct object *pod)
{
    int64_t index = job_index_of(pod);
    j->newly_succeeded++;
    if (!j->indexed) {
        j->succeeded++;
    } else if (index >= 0 && index < j->completions) {
        indexes_add(&j->done, j->a, index);
        j->succeeded = indexes_count(&j->done);
    }
}

static void count_failure(struct job *j, const struct object *pod)
{
    enum verdict v = judge(j, pod, &j->fails);
    int64_t index = job_index_of(pod);
    j->last_failure_ms = MAX(j->last_failure_ms, pod_ended_ms(pod, j->in->wall_ms));
    if (v == IS_IGNORED) {
        j->newly_ignored++;
        return;
    }
    j->newly_failed++;
    j->failed++;
    if (j->indexed && j->per_index >= 0 && index >= 0 && index < j->completions && !indexes_has(&j->done, index) &&
        (v == FAILS_INDEX || fails_before(pod, JOB_INDEX_FAILS) + 1 > j->per_index)) {
        indexes_add(&j->failed_indexes, j->a, index);
    }
}

static bool index_goes_on(const struct job *j, int64_t index)
{
    return index >= 0 && index < j->completions && !indexes_has(&j->done, index) &&
           !indexes_has(&j->failed_indexes, index);
}

/* It is counted, and stays for the sake of its index. */
static int hold(struct job *j, const struct object *pod, struct error *err)
{
    struct value *doc = object_to_value(j->a, pod);
    struct value *annotations = value_ensure_map(j->a, value_get(doc, "metadata"), "annotations");
    annotate(j, annotations, COUNTED, pod_failed_ms(pod, j->in->wall_ms, JOB_BACKOFF_MAX));
    return txn_update_value(j->out->txn, pod->kind, doc, TXN_PART_ALL, pod->revision, err);
}

static int end_count(struct job *j, const struct object *pod, struct error *err)
{
    if (j->newly_failed + j->newly_ignored + j->newly_succeeded >= CONTROLLER_BATCH_MAX) {
        j->uncounted++;
        return 0;
    }
    bool succeeded = str_is(pod_phase(pod), "Succeeded");
    if (succeeded) {
        count_success(j, pod);
    } else {
        count_failure(j, pod);
    }
    j->dirty = true;
    bool holds = !succeeded && j->indexed && j->per_index >= 0 && index_goes_on(j, job_index_of(pod));
    return holds ? hold(j, pod, err) : job_strip(j->out, pod, err);
}

static void active_note(struct job *j, const struct object *pod)
{
    struct pod_state state = pod_state_of(pod);
    object_list_add(j->a, &j->active, pod);
    j->ready += state.ready;
    for (struct mp_iter it = mp_iter(mp_get(object_status(pod), "containerStatuses")); mp_next(&it);) {
        j->restarts += count_bound(mp_int(mp_get(it.value, "restartCount"), 0));
    }
}

/* The agent has said that it has ended, or no agent ever had it. */
static bool has_ended(const struct object *pod)
{
    return pod_finished(pod) ||
           (pod->deleting && (str_empty(pod_node(pod)) ||
                              mp_int(mp_path(object_mp(pod), "metadata.deletionGracePeriodSeconds"), 1) == 0));
}

static void index_note(struct job *j, const struct object *pod, bool ended, bool fails)
{
    const char *unsaid;
    fails = fails && str_empty(object_annotation(pod, GIVEN_UP));
    bool ignored = fails && judge(j, pod, &unsaid) == IS_IGNORED;
    int64_t before = fails_before(pod, JOB_INDEX_FAILS) + fails_before(pod, JOB_INDEX_IGNORED), failed_ms = 0;
    if (fails && !str_to_int64(object_annotation(pod, COUNTED), &failed_ms)) {
        failed_ms = pod_failed_ms(pod, j->in->wall_ms, JOB_BACKOFF_MAX);
    }
    j->indexes = arena_grow(j->a, j->indexes, j->indexes_count, &j->indexes_cap, sizeof *j->indexes, 32);
    j->indexes[j->indexes_count++] =
        (struct job_index){.index = job_index_of(pod),
                           .failures = fails_before(pod, JOB_INDEX_FAILS) + (fails && !ignored),
                           .ignored = fails_before(pod, JOB_INDEX_IGNORED) + ignored,
                           .known = before,
                           .failed_ms = MAX(MIN(failed_ms, j->in->wall_ms), 0),
                           .busy = !ended && (!pod->deleting || j->replace_ended)};
}

static bool is_held(const struct job *j, const struct object *pod, bool ended)
{
    return j->indexed && j->per_index >= 0 && job_index_of(pod) >= 0 && (ended || pod->deleting) &&
           job_has_finalizer(pod) && !str_empty(object_annotation(pod, COUNTED));
}

/* completions has become less, and it is of none of those that are left: it goes, and counts as nothing. */
static bool is_outside(const struct job *j, const struct object *pod)
{
    return j->indexed && job_index_of(pod) >= j->completions;
}

static int outside_strip(struct job *j, const struct object *pod, struct error *err)
{
    if (j->outside >= CONTROLLER_BATCH_MAX) {
        j->uncounted++;
        return 0;
    }
    j->outside++;
    j->dirty = true; /* the next look takes it away */
    return give_up(j, pod, err);
}

static int pod_read(struct job *j, const struct object *pod, struct error *err)
{
    bool ended = has_ended(pod), succeeded = str_is(pod_phase(pod), "Succeeded");
    bool held = is_held(j, pod, ended), tracked = job_has_finalizer(pod) && !held;
    if (held) {
        object_list_add(j->a, &j->held, pod);
    }
    if (j->indexed && job_index_of(pod) >= 0) {
        index_note(j, pod, ended, held || (!succeeded && (ended || pod->deleting)));
    }
    j->terminating += pod->deleting && !ended;
    if (tracked && (ended || (pod->deleting && !j->replace_ended))) {
        return end_count(j, pod, err);
    }
    if (!pod->deleting && !ended) {
        if (tracked && is_outside(j, pod)) {
            return outside_strip(j, pod, err);
        }
        if (tracked) {
            active_note(j, pod);
        } else {
            object_list_add(j->a, &j->given_up, pod);
        }
    }
    return 0;
}

int job_count_pods(struct job *j, struct error *err)
{
    struct view_iter it;
    int rv = 0;
    view_iter_owned(&it, j->in->view, j->obj->uid, kind_of(KIND_POD));
    VIEW_FOR(pod, &it)
    {
        j->pods++;
        rv = rv == 0 ? pod_read(j, pod, err) : rv;
    }
    for (unsigned i = 0; i < MIN(j->given_up.count, CONTROLLER_BATCH_MAX) && rv == 0; i++) {
        const struct object *pod = j->given_up.items[i];
        rv = pod_delete(j->out->txn, j->a, pod, -1, j->in->wall_ms, err);
        j->terminating++;
        if (j->given_up.count <= 10) {
            controller_event(j->out, j->in, j->obj, "Normal", "SuccessfulDelete", JOB_COMPONENT, "Deleted pod: %.*s",
                             STR_ARG(pod->name));
        }
    }
    return rv;
}

static int compare_index(const void *pa, const void *pb)
{
    int64_t a = ((const struct job_index *)pa)->index, b = ((const struct job_index *)pb)->index;
    return (a > b) - (a < b);
}

/* One for each index, ascending. */
static void indexes_merge(struct job *j)
{
    unsigned n = 0;
    if (j->indexes_count == 0) {
        return;
    }
    qsort(j->indexes, j->indexes_count, sizeof *j->indexes, compare_index);
    for (unsigned i = 1; i < j->indexes_count; i++) {
        struct job_index *last = &j->indexes[n];
        if (last->index == j->indexes[i].index) {
            last->busy = last->busy || j->indexes[i].busy;
            last->failures = MAX(last->failures, j->indexes[i].failures);
            last->known = MAX(last->known, j->indexes[i].known);
            last->ignored = MAX(last->ignored, j->indexes[i].ignored);
            last->failed_ms = MAX(last->failed_ms, j->indexes[i].failed_ms);
        } else {
            j->indexes[++n] = j->indexes[i];
        }
    }
    j->indexes_count = n + 1;
}

/* Those that are held while nobody waits for them, or whose successor has been made: it knows of their failures. */
int job_release_held(struct job *j, struct error *err)
{
    int rv = 0;
    unsigned released = 0;
    indexes_merge(j);
    for (unsigned i = 0; i < j->held.count && rv == 0; i++) {
        const struct object *pod = j->held.items[i];
        const struct job_index key = {.index = job_index_of(pod)};
        const struct job_index *of = bsearch(&key, j->indexes, j->indexes_count, sizeof key, compare_index);
        if (index_goes_on(j, key.index) && of != NULL && of->known < of->failures + of->ignored) {
            continue;
        }
        if (released++ >= CONTROLLER_BATCH_MAX) {
            requeue_in(j->out, 1);
            break;
        }
        rv = job_strip(j->out, pod, err);
    }
    return rv;
}

int job_give_up(struct job *j, unsigned surplus, struct error *err)
{
    struct object_list none = {0};
    int rv = 0;
    pods_rank_for_deletion(j->a, &j->active, &none, 0, j->in->wall_ms);
    unsigned count = MIN(MIN(surplus, j->active.count), CONTROLLER_BATCH_MAX);
    for (unsigned i = 0; i < count && rv == 0; i++) {
        rv = give_up(j, j->active.items[i], err);
    }
    j->active.items += count;
    j->active.count -= count;
    DECIDED(j->out, REASON_DELETES_PODS, .count = count);
    return rv;
}

/* ---- Making ---- */

/* Where nothing says otherwise a container finds its index in JOB_COMPLETION_INDEX. */
static void tell_index(struct arena *a, struct value *pod_spec)
{
    static const char *const lists[] = {"initContainers", "containers"};
    for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
        struct value *list = value_get(pod_spec, lists[k]);
        VALUE_FOR(i, list)
        {
            struct value *env = value_ensure_list(a, value_item(list, i), "env"), *v = value_map(a);
            bool is_there = false;
            VALUE_FOR(n, env)
            {
                is_there = is_there || str_is(value_path_str(value_item(env, n), "name"), "JOB_COMPLETION_INDEX");
            }
            if (is_there) {
                continue;
            }
            struct value *ref = value_ensure_map(a, value_ensure_map(a, v, "valueFrom"), "fieldRef");
            value_set(a, ref, "apiVersion", value_cstr(a, "v1"));
            value_set(a, ref, "fieldPath", value_cstr(a, "metadata.annotations['" JOB_INDEX "']"));
            value_set(a, v, "name", value_cstr(a, "JOB_COMPLETION_INDEX"));
            value_append(a, env, v);
        }
    }
}

/* there: of its index, what is known of those before it. */
static struct value *pod_document(struct job *j, int64_t index, const struct job_index *there)
{
    struct arena *a = j->a;
    struct value *pod = pod_from_template(a, j->obj, value_get(j->spec, "template"));
    struct value *meta = value_get(pod, "metadata"), *spec = value_get(pod, "spec");
    struct value *finalizers = value_ensure_list(a, meta, "finalizers");
    if (!list_has_str(finalizers, JOB_FINALIZER)) {
        value_append(a, finalizers, value_cstr(a, JOB_FINALIZER));
    }
    if (j->indexed) {
        const char *text = arena_printf(a, "%lld", (long long)index);
        struct value *annotations = value_ensure_map(a, meta, "annotations");
        value_set(a, annotations, JOB_INDEX, value_cstr(a, text));
        value_set(a, value_ensure_map(a, meta, "labels"), JOB_INDEX, value_cstr(a, text));
        value_remove(annotations, COUNTED); /* no template says these */
        value_remove(annotations, GIVEN_UP);
        if (j->per_index >= 0) {
            annotate(j, annotations, JOB_INDEX_FAILS, there == NULL ? 0 : there->failures);
        }
        if (j->per_index >= 0 && there != NULL && there->ignored > 0) {
            annotate(j, annotations, JOB_INDEX_IGNORED, there->ignored);
        }
        const char *host = arena_printf(a, "%.*s-%lld", STR_ARG(j->obj->name), (long long)index);
        value_set(a, spec, "hostname", value_cstr(a, host));
        value_set(a, meta, "generateName", value_str(a, name_generate_prefix(a, str_of(host))));
        tell_index(a, spec);
    }
    accounts_give_pod(j->in->view, a, pod);
    pods_give_classes(j->in->view, a, pod, NULL); /* its classes are there: job_create_pods */
    kind_add_undone_condition(kind_of(KIND_POD), a, pod, j->in->wall_ms);
    return pod;
}

static int pod_create(struct job *j, struct strmap *taken, int64_t index, const struct job_index *there,
                      struct error *err)
{
    struct value *pod = pod_document(j, index, there);
    struct str name = pod_name_set(j->in, j->a, pod, taken);
    j->created++;
    if (j->created <= 10) {
        controller_event(j->out, j->in, j->obj, "Normal", "SuccessfulCreate", JOB_COMPONENT, "Created pod: %.*s",
                         STR_ARG(name));
    }
    return txn_create_value(j->out->txn, kind_of(KIND_POD), pod, err);
}

/* How many of them can be made: they differ in their indexes alone. */
static unsigned pods_room(struct job *j, unsigned wanted, int64_t index, const struct job_index *there)
{
    struct error why = {0};
    struct value *pod = pod_document(j, index, there);
    value_set(j->a, value_get(pod, "metadata"), "generateName",
              value_str(j->a, name_generate_prefix(j->a, j->obj->name)));
    unsigned room = room_for(j->in, j->out, KIND_POD, pod, wanted, &why);
    if (room < wanted) {
        j->refused = arena_printf(j->a, "Error creating: %s", why.message);
    }
    return room;
}

/* The first index from `index` on that has neither succeeded nor failed. What is over may be millions of them: spans
 * are stepped over whole. */
static int64_t index_next(const struct job *j, int64_t index)
{
    for (int64_t before = -1; index != before;) {
        before = index;
        index = indexes_after(&j->failed_indexes, indexes_after(&j->done, index));
    }
    return index;
}

/* Its last pod has failed a short while ago. */
static bool index_waits(struct job *j, const struct job_index *i)
{
    int64_t left_ms = j->per_index < 0 ? 0 : i->failed_ms + job_backoff_ms(i->failures + i->ignored) - j->in->wall_ms;
    if (left_ms > 0) {
        requeue_in(j->out, left_ms);
    }
    return left_ms > 0;
}

int job_create_pods(struct job *j, int64_t wanted, struct error *err)
{
    if (namespace_closed(j->in->view, j->obj->ns)) {
        DECIDED(j->out, REASON_NAMESPACE_CLOSED);
        return 0;
    }
    if (!pods_have_classes(j->in, j->out, j->obj, value_get(j->spec, "template"), JOB_COMPONENT)) {
        return 0;
    }
    const char *pause = pods_pace(j->out, view_sum_owned(j->in->view, j->obj).fields[OWNED_UNPLACED], 0);
    if (pause != NULL) {
        j->refused = arena_printf(j->a, "Error creating: %s", pause);
        room_refused(j->in, j->out, j->obj, JOB_COMPONENT, 0, j->refused);
        return 0;
    }
    struct strmap taken;
    strmap_init(&taken);
    int rv = 0;
    unsigned at = 0, room = (unsigned)MIN(wanted, (int64_t)JOB_CREATE_MAX);
    for (int64_t index = 0; rv == 0 && j->created < room; index++) {
        const struct job_index *there = NULL;
        if (j->indexed) {
            index = index_next(j, index);
            if (index >= j->completions) {
                break;
            }
            while (at < j->indexes_count && j->indexes[at].index < index) {
                at++;
            }
            there = at < j->indexes_count && j->indexes[at].index == index ? &j->indexes[at] : NULL;
            if (there != NULL && (there->busy || index_waits(j, there))) {
                continue;
            }
        }
        if (j->created == 0) {
            room = pods_room(j, room, index, there);
        }
        if (room > 0) {
            rv = pod_create(j, &taken, index, there, err);
        }
    }
    if (j->refused != NULL) {
        room_refused(j->in, j->out, j->obj, JOB_COMPONENT, 0, j->refused);
    }
    strmap_close(&taken);
    if (j->created > 0) {
        DECIDED(j->out, REASON_CREATES_PODS, .count = j->created);
    }
    return rv;
}
