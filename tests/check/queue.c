/* Ids that are unique: an id that was acknowledged is there exactly once, however often the client had to repeat; one
 * that was told as not done never is; one of unknown outcome is there at most once. In which order they stand is not
 * judged. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/check/by_key.h"
#include "tests/check/check.h"

struct id {
    int64_t value;
    const struct hist_op *asked;
    unsigned times; /* in the drain under judgement */
};

static int by_value(const void *pa, const void *pb)
{
    int64_t a = ((const struct id *)pa)->value, b = ((const struct id *)pb)->value;
    return (a > b) - (a < b);
}

static void judge_id(const char *key, const struct id *id, const struct hist_op *drain, struct findings *out)
{
    const struct hist_op *op = id->asked;
    struct anomaly *a = NULL;
    if (id->times > 1) {
        a = findings_add(out, "doubled", "%s: id %" PRId64 " stands there %u times, and was asked for once", key,
                         id->value, id->times);
    } else if (id->times == 1 && op->outcome == HIST_FAIL) {
        a = findings_add(out, "not-done-but-there", "%s: id %" PRId64 " was told as not done, and is there", key,
                         id->value);
    } else if (id->times == 1 && op->start_us > drain->end_us) {
        a = findings_add(out, "read-from-future", "%s: id %" PRId64 " was read before it was asked for", key,
                         id->value);
    } else if (id->times == 0 && op->outcome == HIST_OK && op->end_us < drain->start_us) {
        a = findings_add(out, "lost", "%s: id %" PRId64 " was acknowledged, and is not there", key, id->value);
    }
    if (a != NULL) {
        anomaly_op(a, op);
        anomaly_op(a, drain);
    }
}

static void judge_drain(const char *key, struct id *ids, size_t count, const struct hist_op *drain,
                        struct findings *out)
{
    const struct hist_step *s = &drain->steps[0];
    for (size_t i = 0; i < count; i++) {
        ids[i].times = 0;
    }
    for (unsigned i = 0; i < s->list_count; i++) {
        struct id wanted = {.value = s->list[i]};
        struct id *id = count == 0 ? NULL : bsearch(&wanted, ids, count, sizeof wanted, by_value);
        if (id == NULL) {
            anomaly_op(findings_add(out, "unexpected", "%s: id %" PRId64 " is there, and nobody asked for it", key,
                                    s->list[i]),
                       drain);
        } else {
            id->times++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        judge_id(key, &ids[i], drain, out);
    }
}

void check_queue(const struct hist *h, const struct check_options *o, struct findings *out)
{
    struct by_key keys;
    (void)o;
    by_key_init(&keys, h, 1u << HIST_ENQUEUE | 1u << HIST_DRAIN);
    for (size_t i = 0; i < keys.count; i++) {
        const struct key_ops *k = &keys.keys[i];
        CLEANUP_FREE struct id *ids = xcalloc(k->count + 1, sizeof *ids);
        size_t count = 0;
        for (size_t n = 0; n < k->count; n++) {
            if (k->ops[n]->f == HIST_ENQUEUE) {
                ids[count++] = (struct id){k->ops[n]->steps[0].value.number, k->ops[n], 0};
            }
        }
        qsort(ids, count, sizeof *ids, by_value);
        for (size_t n = 1; n < count; n++) {
            if (ids[n].value == ids[n - 1].value) {
                findings_give_up(out, "%s: id %" PRId64 " is asked for by op %zu and op %zu: ids must be unique",
                                 k->key, ids[n].value, ids[n - 1].asked->number, ids[n].asked->number);
            }
        }
        for (size_t n = 0; n < k->count && out->gave_up == NULL; n++) {
            if (k->ops[n]->f == HIST_DRAIN && k->ops[n]->outcome == HIST_OK) {
                judge_drain(k->key, ids, count, k->ops[n], out);
            }
        }
    }
    out->checked = (unsigned)keys.ops;
    by_key_close(&keys);
}
