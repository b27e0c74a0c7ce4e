/* Sets that grow. Every element that was acknowledged is in every read that begins later; nothing is in a read that
 * nobody asked for before the read ended; what was told as not done is never there. What a read has shown is there
 * for good: whoever begins later sees it, too. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/check/by_key.h"
#include "tests/check/check.h"

struct element {
    int64_t value;
    const struct hist_op *added, *failed; /* who asked for it: done or unknown; told as not done */
    /* Known to be there from this moment on, and by which operation. */
    int64_t known_us;
    const struct hist_op *known_by;
    const struct hist_op *seen,
        *missing; /* the last read that has it; the last one begun later than known_us without it */
    const struct hist_op *first_missing;
};

static int by_value(const void *pa, const void *pb)
{
    int64_t a = ((const struct element *)pa)->value, b = ((const struct element *)pb)->value;
    return (a > b) - (a < b);
}

static int by_number(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

static struct element *find(struct element *all, size_t count, int64_t value)
{
    struct element wanted = {.value = value};
    return count == 0 ? NULL : bsearch(&wanted, all, count, sizeof wanted, by_value);
}

static void merge_equal(struct element *all, size_t *count)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (kept > 0 && all[kept - 1].value == all[i].value) {
            struct element *e = &all[kept - 1];
            bool earlier = all[i].known_us < e->known_us;
            e->known_us = earlier ? all[i].known_us : e->known_us;
            e->known_by = earlier ? all[i].known_by : e->known_by;
            e->added = e->added == NULL || (all[i].added != NULL && all[i].added->start_us < e->added->start_us)
                           ? all[i].added
                           : e->added;
            e->failed = e->failed == NULL ? all[i].failed : e->failed;
        } else {
            all[kept++] = all[i];
        }
    }
    *count = kept;
}

static struct element *collect(const struct key_ops *k, size_t *count)
{
    struct element *all = xcalloc(k->count + 1, sizeof *all);
    *count = 0;
    for (size_t i = 0; i < k->count; i++) {
        const struct hist_op *op = k->ops[i];
        if (op->f == HIST_ADD) {
            bool failed = op->outcome == HIST_FAIL;
            all[(*count)++] = (struct element){.value = op->steps[0].value.number,
                                               .added = failed ? NULL : op,
                                               .failed = failed ? op : NULL,
                                               .known_us = op->outcome == HIST_OK ? op->end_us : HIST_NEVER,
                                               .known_by = op->outcome == HIST_OK ? op : NULL};
        }
    }
    qsort(all, *count, sizeof *all, by_value);
    merge_equal(all, count);
    return all;
}

/* What a read shows that it may not show; and what is known by it. */
static void judge_shown(struct element *all, size_t count, const struct hist_op *read, struct findings *out)
{
    const struct hist_step *s = &read->steps[0];
    for (unsigned i = 0; i < s->list_count; i++) {
        struct element *e = find(all, count, s->list[i]);
        struct anomaly *a = NULL;
        if (e == NULL) {
            a = findings_add(out, "unexpected", "%s: op %zu shows %" PRId64 ", which nobody added", s->key,
                             read->number, s->list[i]);
            anomaly_op(a, read);
        } else if (e->added == NULL) {
            a = findings_add(out, "aborted-add",
                             "%s: op %zu shows %" PRId64 "; op %zu added it, and that was told as not done", s->key,
                             read->number, e->value, e->failed->number);
            anomaly_op(a, read);
            anomaly_op(a, e->failed);
        } else if (e->added->start_us > read->end_us) {
            a = findings_add(out, "read-from-future",
                             "%s: op %zu shows %" PRId64 " before op %zu, which adds it, began", s->key, read->number,
                             e->value, e->added->number);
            anomaly_op(a, read);
            anomaly_op(a, e->added);
        }
        if (e != NULL) {
            e->seen = read;
            if (read->end_us < e->known_us) {
                e->known_us = read->end_us;
                e->known_by = read;
            }
        }
    }
}

/* Elements that a read begun after they were known lacks. */
static void note_missing(struct element *all, size_t count, const struct hist_op *read)
{
    const struct hist_step *s = &read->steps[0];
    CLEANUP_FREE int64_t *sorted = xcalloc(s->list_count + 1u, sizeof *sorted);
    if (s->list_count > 0) {
        memcpy(sorted, s->list, s->list_count * sizeof *sorted);
        qsort(sorted, s->list_count, sizeof *sorted, by_number);
    }
    for (size_t i = 0, at = 0; i < count; i++) {
        while (at < s->list_count && sorted[at] < all[i].value) {
            at++;
        }
        bool there = at < s->list_count && sorted[at] == all[i].value;
        if (!there && all[i].known_us < read->start_us) {
            all[i].first_missing = all[i].first_missing == NULL ? read : all[i].first_missing;
            all[i].missing = read;
        }
    }
}

static void judge_missing(const char *key, const struct element *e, struct findings *out)
{
    if (e->missing == NULL) {
        return;
    }
    bool back = e->seen != NULL && e->seen->start_us > e->first_missing->start_us;
    struct anomaly *a;
    if (back) {
        a = findings_add(out, "stale-read",
                         "%s: %" PRId64 " was known by op %zu, but op %zu, which began later, lacks it; it came back",
                         key, e->value, e->known_by->number, e->first_missing->number);
    } else {
        a = findings_add(out, "lost", "%s: %" PRId64 " was known by op %zu; op %zu, which began later, lacks it%s", key,
                         e->value, e->known_by->number, e->first_missing->number,
                         e->seen == NULL ? ", and nobody ever saw it" : ", and nobody saw it again");
    }
    anomaly_op(a, e->added);
    if (e->known_by != e->added) {
        anomaly_op(a, e->known_by);
    }
    anomaly_op(a, e->first_missing);
    if (back) {
        anomaly_op(a, e->seen);
    }
}

static void judge_twice(const struct hist_op *read, struct findings *out)
{
    const struct hist_step *s = &read->steps[0];
    CLEANUP_FREE int64_t *sorted = xcalloc(s->list_count + 1u, sizeof *sorted);
    if (s->list_count > 0) {
        memcpy(sorted, s->list, s->list_count * sizeof *sorted);
        qsort(sorted, s->list_count, sizeof *sorted, by_number);
    }
    for (unsigned i = 1; i < s->list_count; i++) {
        if (sorted[i] == sorted[i - 1]) {
            anomaly_op(
                findings_add(out, "duplicate", "%s: op %zu shows %" PRId64 " twice", s->key, read->number, sorted[i]),
                read);
            return;
        }
    }
}

void check_set(const struct hist *h, const struct check_options *o, struct findings *out)
{
    struct by_key keys;
    (void)o;
    by_key_init(&keys, h, 1u << HIST_ADD | 1u << HIST_MEMBERS);
    for (size_t i = 0; i < keys.count; i++) {
        const struct key_ops *k = &keys.keys[i];
        size_t count;
        CLEANUP_FREE struct element *all = collect(k, &count);
        for (size_t n = 0; n < k->count; n++) {
            if (k->ops[n]->f == HIST_MEMBERS && k->ops[n]->outcome == HIST_OK) {
                judge_shown(all, count, k->ops[n], out);
                judge_twice(k->ops[n], out);
            }
        }
        for (size_t n = 0; n < k->count; n++) {
            if (k->ops[n]->f == HIST_MEMBERS && k->ops[n]->outcome == HIST_OK) {
                note_missing(all, count, k->ops[n]);
            }
        }
        for (size_t n = 0; n < count; n++) {
            judge_missing(k->key, &all[n], out);
        }
    }
    out->checked = (unsigned)keys.ops;
    by_key_close(&keys);
}
