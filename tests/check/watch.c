/* Watches. Against the log as the masters have it (or, without log lines, against what all watchers together were
 * told, and the writes that were acknowledged):
 *
 *  1. All masters' logs say the same at the same revision, each in order.
 *  2. A watcher is told revisions in order, none twice, and none left out that lies between two that it was told, nor
 *     one that lies before a revision behind which it goes on (a mark told it that it has all up to there).
 *  3. An event is the whole transaction of its revision, and nothing else.
 *  4. A list shows the state at its revision, as far as the log tells it, and does not go back behind what the watcher
 *     was told.
 *  5. A write that was acknowledged at a revision stands in the log there; revisions follow the order in real time.
 *     Without log lines: whoever was told what lies around it was told it, and everybody the same.
 *
 * The log need not hold every revision: it may be what concerns the watchers. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/check/check.h"

struct watch {
    const struct hist *h;
    struct findings *out;
    const struct hist_op **log; /* one per revision, in order */
    size_t log_count;
    bool has_log; /* from log lines; or from what watchers were told, and acknowledged writes of which none was */
};

static bool same_value(const struct hist_step *a, const struct hist_step *b)
{
    return a->key == b->key && a->value.there == b->value.there &&
           (!a->value.there || a->value.number == b->value.number);
}

static bool same_step(const struct hist_step *a, const struct hist_step *b)
{
    return a->verb == b->verb && same_value(a, b);
}

static const struct hist_step *step_of(const struct hist_op *op, const char *key)
{
    for (unsigned i = 0; i < op->steps_count; i++) {
        if (op->steps[i].key == key) {
            return &op->steps[i];
        }
    }
    return NULL;
}

/* The changes of one transaction, in any order: each key is changed once. */
static bool same_changes(const struct hist_op *a, const struct hist_op *b)
{
    for (unsigned i = 0; i < a->steps_count; i++) {
        const struct hist_step *s = step_of(b, a->steps[i].key);
        if (s == NULL || !same_step(&a->steps[i], s)) {
            return false;
        }
    }
    return a->steps_count == b->steps_count;
}

static bool part_of(const struct hist_op *a, const struct hist_op *whole)
{
    for (unsigned i = 0; i < a->steps_count; i++) {
        const struct hist_step *s = step_of(whole, a->steps[i].key);
        if (s == NULL || !same_step(&a->steps[i], s)) {
            return false;
        }
    }
    return a->steps_count < whole->steps_count;
}

/* ---- The log ---- */

static int by_revision(const void *pa, const void *pb)
{
    const struct hist_op *a = *(const struct hist_op *const *)pa, *b = *(const struct hist_op *const *)pb;
    int c = (a->revision > b->revision) - (a->revision < b->revision);
    /* What somebody was told before what was only acknowledged; the transaction told as the largest first: whoever was
     * told less of it was told a part. */
    c = c != 0 ? c : (b->f >= HIST_RESUME) - (a->f >= HIST_RESUME);
    c = c != 0 ? c : (b->steps_count > a->steps_count) - (b->steps_count < a->steps_count);
    return c != 0 ? c : (a->number > b->number) - (a->number < b->number);
}

static bool is_acknowledged(const struct hist_op *op)
{
    return (op->f == HIST_WRITE || op->f == HIST_CAS || op->f == HIST_REMOVE) && op->outcome == HIST_OK &&
           op->revision != 0;
}

static void collect_log(struct watch *w)
{
    w->log = xcalloc(w->h->count + 1, sizeof *w->log);
    for (size_t i = 0; i < w->h->count; i++) {
        w->has_log |= w->h->ops[i].f == HIST_LOG;
    }
    size_t count = 0;
    for (size_t i = 0; i < w->h->count; i++) {
        const struct hist_op *op = &w->h->ops[i];
        if (w->has_log ? op->f == HIST_LOG : op->f == HIST_EVENT || is_acknowledged(op)) {
            w->log[count++] = op;
        }
    }
    qsort(w->log, count, sizeof *w->log, by_revision);
    for (size_t i = 0; i < count; i++) {
        const struct hist_op *op = w->log[i], *last = w->log_count == 0 ? NULL : w->log[w->log_count - 1];
        if (last == NULL || last->revision != op->revision) {
            w->log[w->log_count++] = op;
        } else if (w->has_log && !same_changes(last, op)) {
            struct anomaly *a =
                findings_add(w->out, "logs-disagree",
                             "masters %" PRId64 " and %" PRId64 " have different transactions at revision %" PRIu64,
                             last->process, op->process, op->revision);
            anomaly_op(a, last);
            anomaly_op(a, op);
        }
    }
}

/* The first entry behind a revision. */
static size_t log_behind(const struct watch *w, uint64_t revision)
{
    size_t low = 0, high = w->log_count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (w->log[mid]->revision <= revision) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static const struct hist_op *log_at(const struct watch *w, uint64_t revision)
{
    size_t i = log_behind(w, revision);
    return i > 0 && w->log[i - 1]->revision == revision ? w->log[i - 1] : NULL;
}

/* ---- One watcher ---- */

struct watcher {
    int64_t process;
    bool placed;                /* at is known */
    uint64_t at;                /* told up to here */
    const struct hist_op *last; /* what was told there */
};

static void judge_gap(struct watch *w, const struct watcher *r, uint64_t before, const struct hist_op *teller)
{
    for (size_t i = log_behind(w, r->at); i < w->log_count && w->log[i]->revision < before; i++) {
        bool log = teller->f == HIST_LOG;
        struct anomaly *a = findings_add(
            w->out, log ? "log-gap" : "lost-event",
            log ? "the log of master %" PRId64 " lacks revision %" PRIu64 ": from %" PRIu64 " it goes on to %" PRIu64
                : "watcher %" PRId64 " was not told revision %" PRIu64 ": from %" PRIu64 " it went on to %" PRIu64,
            r->process, w->log[i]->revision, r->at, teller->revision);
        anomaly_op(a, w->log[i]);
        if (r->last != NULL) {
            anomaly_op(a, r->last);
        }
        anomaly_op(a, teller);
    }
}

static void judge_event(struct watch *w, struct watcher *r, const struct hist_op *op)
{
    const struct hist_op *entry = log_at(w, op->revision);
    struct anomaly *a = NULL;
    if (r->placed && op->revision == r->at && r->last != NULL && r->last->f == HIST_EVENT &&
        !same_changes(r->last, op)) {
        a = findings_add(w->out, "split-transaction",
                         "watcher %" PRId64 " was told revision %" PRIu64 " in several parts", r->process,
                         op->revision);
    } else if (r->placed && op->revision == r->at) {
        a = findings_add(w->out, "double-event", "watcher %" PRId64 " was told revision %" PRIu64 " twice", r->process,
                         op->revision);
    } else if (r->placed && op->revision < r->at) {
        a = findings_add(w->out, "event-order",
                         "watcher %" PRId64 " was told revision %" PRIu64 " behind revision %" PRIu64, r->process,
                         op->revision, r->at);
    } else if (r->placed) {
        judge_gap(w, r, op->revision, op);
    }
    if (a != NULL) {
        if (r->last != NULL) {
            anomaly_op(a, r->last);
        }
        anomaly_op(a, op);
    } else if (entry == NULL) {
        anomaly_op(findings_add(w->out, "event-from-nowhere",
                                "watcher %" PRId64 " was told revision %" PRIu64 ", which no master's log has",
                                r->process, op->revision),
                   op);
    } else if (!same_changes(entry, op)) {
        bool part = part_of(op, entry);
        a = findings_add(w->out, part ? "split-transaction" : "event-differs",
                         part ? "watcher %" PRId64 " was told a part of revision %" PRIu64 " only"
                              : "watcher %" PRId64 " was told other changes at revision %" PRIu64
                                " than were committed",
                         r->process, op->revision);
        anomaly_op(a, op);
        anomaly_op(a, entry);
    }
    r->at = r->placed ? MAX(r->at, op->revision) : op->revision;
    r->placed = true;
    r->last = op;
}

/* A step before the last one known of its key. That one nobody was told, nor maybe what came behind it: the list may
 * show either, but nothing older. Values are written once. */
static bool is_overwritten(const struct hist_op *last, const struct hist_step *s, const struct hist_step *shown)
{
    return last->f < HIST_RESUME && s->verb != STEP_DELETE && shown != NULL && same_value(s, shown);
}

/* Nobody was told of it, nor was its writer answered: it may be behind the last one known of its key. Values are
 * written once; a removal has none, so any that began in time may be it. */
static bool is_unanswered(const struct watch *w, const struct hist_op *list, const char *key,
                          const struct hist_step *shown)
{
    for (size_t i = 0; shown != NULL && i < w->log_count; i++) {
        const struct hist_step *known = step_of(w->log[i], key);
        if (known != NULL && known->verb == STEP_PUT && same_value(known, shown)) {
            return false;
        }
    }
    for (size_t i = 0; i < w->h->count; i++) {
        const struct hist_op *op = &w->h->ops[i];
        bool fits = op->f == (shown == NULL ? HIST_REMOVE : HIST_WRITE) && op->outcome == HIST_INFO &&
                    op->start_us < list->start_us && op->steps[0].key == key;
        if (fits && (shown == NULL || same_value(&op->steps[0], shown))) {
            return true;
        }
    }
    return false;
}

/* What the log did to each key up to the list's revision, the latest first. */
static void judge_list(struct watch *w, struct watcher *r, const struct hist_op *op)
{
    if (r->placed && op->revision < r->at) {
        struct anomaly *a = findings_add(w->out, "list-went-back",
                                         "watcher %" PRId64 " had been told revision %" PRIu64
                                         " and was given a list as of revision %" PRIu64,
                                         r->process, r->at, op->revision);
        if (r->last != NULL) {
            anomaly_op(a, r->last);
        }
        anomaly_op(a, op);
    }
    struct strmap judged;
    strmap_init(&judged);
    for (size_t i = log_behind(w, op->revision); i-- > 0;) {
        for (unsigned k = 0; k < w->log[i]->steps_count; k++) {
            const struct hist_step *s = &w->log[i]->steps[k], *shown = step_of(op, s->key);
            const struct hist_op *last = strmap_get(&judged, str_of(s->key));
            bool right = s->verb == STEP_DELETE ? shown == NULL : shown != NULL && same_value(s, shown);
            if (last == NULL) {
                strmap_set(&judged, str_of(s->key), (void *)(uintptr_t)w->log[i]);
                right |= w->log[i]->f < HIST_RESUME;
            } else {
                right = !is_overwritten(last, s, shown);
            }
            if (!right && (w->has_log || last != NULL || !is_unanswered(w, op, s->key, shown))) {
                struct anomaly *a = findings_add(w->out, "list-differs",
                                                 "watcher %" PRId64 " was given a list as of revision %" PRIu64
                                                 " in which %s is not as revision %" PRIu64 " left it",
                                                 r->process, op->revision, s->key, w->log[i]->revision);
                anomaly_op(a, w->log[i]);
                anomaly_op(a, op);
            }
        }
    }
    strmap_close(&judged);
    *r = (struct watcher){r->process, true, op->revision, op};
}

static void judge_log_order(struct watch *w, struct watcher *r, const struct hist_op *op)
{
    if (r->placed && op->revision <= r->at) {
        struct anomaly *a =
            findings_add(w->out, "log-order", "the log of master %" PRId64 " has revision %" PRIu64 " behind %" PRIu64,
                         r->process, op->revision, r->at);
        anomaly_op(a, r->last);
        anomaly_op(a, op);
    } else if (r->placed) {
        judge_gap(w, r, op->revision, op); /* another master's log has what this one lacks */
    }
    *r = (struct watcher){r->process, true, op->revision, op};
}

static void judge_process(struct watch *w, const struct hist_op **ops, size_t count)
{
    struct watcher watcher = {.process = ops[0]->process}, master = watcher;
    bool watches = false, logs = false;
    for (size_t i = 0; i < count; i++) {
        watches |= ops[i]->f != HIST_LOG;
        logs |= ops[i]->f == HIST_LOG;
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->f == HIST_EVENT) {
            judge_event(w, &watcher, ops[i]);
        } else if (ops[i]->f == HIST_LIST) {
            judge_list(w, &watcher, ops[i]);
        } else if (ops[i]->f == HIST_LOG) {
            judge_log_order(w, &master, ops[i]);
        } else {
            if (watcher.placed && !logs) {
                judge_gap(w, &watcher, ops[i]->revision + 1, ops[i]);
            }
            watcher = (struct watcher){watcher.process, true, ops[i]->revision, ops[i]};
            master = watcher; /* restored from a snapshot of that revision */
        }
    }
    const struct hist_op *end = w->log_count == 0 ? NULL : w->log[w->log_count - 1];
    if (watches && w->h->watch_complete && end != NULL && watcher.at < end->revision) {
        struct anomaly *a = findings_add(w->out, "lost-event",
                                         "watcher %" PRId64 " was waited for, and was told nothing behind revision "
                                         "%" PRIu64 ", but the log goes to %" PRIu64,
                                         watcher.process, watcher.at, end->revision);
        if (watcher.last != NULL) {
            anomaly_op(a, watcher.last);
        }
        anomaly_op(a, end);
    }
}

static int by_process(const void *pa, const void *pb)
{
    const struct hist_op *a = *(const struct hist_op *const *)pa, *b = *(const struct hist_op *const *)pb;
    int c = (a->process > b->process) - (a->process < b->process);
    return c != 0 ? c : (a->number > b->number) - (a->number < b->number);
}

static void judge_watchers(struct watch *w)
{
    CLEANUP_FREE const struct hist_op **told = xcalloc(w->h->count + 1, sizeof *told);
    size_t count = 0;
    for (size_t i = 0; i < w->h->count; i++) {
        if (w->h->ops[i].f >= HIST_RESUME) {
            told[count++] = &w->h->ops[i];
        }
    }
    w->out->checked += (unsigned)count;
    qsort(told, count, sizeof *told, by_process);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from; to < count && told[to]->process == told[from]->process; to++) {
        }
        judge_process(w, told + from, to - from);
    }
}

/* ---- Answers that name a revision ---- */

static void judge_answer(struct watch *w, const struct hist_op *op)
{
    const struct hist_step *s = &op->steps[0];
    const struct hist_op *entry = log_at(w, op->revision);
    bool known = w->has_log
                     ? op->revision >= w->log[0]->revision && op->revision <= w->log[w->log_count - 1]->revision
                     : entry != NULL && entry->f == HIST_EVENT; /* judge_gap has an eye on what nobody was told */
    if (!known) {
        return;
    }
    const struct hist_step *stands = entry == NULL ? NULL : step_of(entry, s->key);
    bool same = stands != NULL && (op->f == HIST_REMOVE ? stands->verb == STEP_DELETE
                                                        : stands->verb == STEP_PUT && same_value(stands, s));
    if (!same) {
        struct anomaly *a = findings_add(
            w->out, "lost-write", "op %zu was acknowledged at revision %" PRIu64 ", but the log does not have it there",
            op->number, op->revision);
        anomaly_op(a, op);
        if (entry != NULL) {
            anomaly_op(a, entry);
        }
    }
}

static int by_end(const void *pa, const void *pb)
{
    const struct hist_op *a = *(const struct hist_op *const *)pa, *b = *(const struct hist_op *const *)pb;
    return (a->end_us > b->end_us) - (a->end_us < b->end_us);
}

/* Whoever begins after another was answered is answered with no lower revision. */
static void judge_real_time(struct watch *w)
{
    CLEANUP_FREE const struct hist_op **ended = xcalloc(w->h->count + 1, sizeof *ended);
    const struct hist_op *highest = NULL;
    size_t count = 0, done = 0;
    for (size_t i = 0; i < w->h->count; i++) {
        const struct hist_op *op = &w->h->ops[i];
        if (op->f < HIST_RESUME && op->outcome == HIST_OK && op->revision != 0) {
            ended[count++] = op;
        }
    }
    w->out->checked += (unsigned)count;
    qsort(ended, count, sizeof *ended, by_end);
    for (size_t i = 0; i < w->h->count; i++) { /* ordered by start */
        const struct hist_op *op = &w->h->ops[i];
        if (op->f >= HIST_RESUME || op->outcome != HIST_OK || op->revision == 0) {
            continue;
        }
        for (; done < count && ended[done]->end_us < op->start_us; done++) {
            highest = highest == NULL || ended[done]->revision > highest->revision ? ended[done] : highest;
        }
        if (highest != NULL && op->revision < highest->revision) {
            struct anomaly *a = findings_add(w->out, "revision-order",
                                             "op %zu was answered with revision %" PRIu64 ", but op %zu, which had "
                                             "ended before it began, with %" PRIu64,
                                             op->number, op->revision, highest->number, highest->revision);
            anomaly_op(a, highest);
            anomaly_op(a, op);
        }
        if (is_acknowledged(op)) {
            judge_answer(w, op);
        }
    }
}

void check_watch(const struct hist *h, const struct check_options *o, struct findings *out)
{
    struct watch w = {.h = h, .out = out};
    (void)o;
    collect_log(&w);
    judge_watchers(&w);
    judge_real_time(&w);
    free(w.log);
}
