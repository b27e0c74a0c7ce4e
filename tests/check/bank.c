/* Accounts and transfers between them. Every read sees the same sum, the same accounts, and none below 0 unless the
 * history allows it. And between a read before the first transfer and one after the last each account has gained what
 * the transfers say: those of unknown outcome may or may not be in. */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/check/check.h"

static const struct hist_step *account_of(const struct hist_op *read, const char *key)
{
    for (unsigned i = 0; i < read->steps_count; i++) {
        if (read->steps[i].key == key) {
            return &read->steps[i];
        }
    }
    return NULL;
}

static int64_t sum_of(const struct hist_op *read)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < read->steps_count; i++) {
        sum += read->steps[i].value.number;
    }
    return sum;
}

static void judge_read(const struct hist *h, const struct hist_op *first, const struct hist_op *read,
                       struct findings *out)
{
    int64_t sum = sum_of(read), total = h->total.there ? h->total.number : sum_of(first);
    for (unsigned i = 0; i < first->steps_count; i++) {
        if (account_of(read, first->steps[i].key) == NULL) {
            struct anomaly *a = findings_add(out, "missing-account", "op %zu does not show account %s", read->number,
                                             first->steps[i].key);
            anomaly_op(a, read);
            anomaly_op(a, first);
        }
    }
    if (sum != total) {
        struct anomaly *a = findings_add(out, "wrong-total", "op %zu sees %" PRId64 " in all, but there are %" PRId64,
                                         read->number, sum, total);
        anomaly_op(a, read);
        if (!h->total.there) {
            anomaly_op(a, first);
        }
    }
    for (unsigned i = 0; i < read->steps_count && !h->overdraft; i++) {
        if (read->steps[i].value.number < 0) {
            anomaly_op(findings_add(out, "overdraft", "op %zu sees %" PRId64 " in account %s", read->number,
                                    read->steps[i].value.number, read->steps[i].key),
                       read);
        }
    }
}

/* What each account has gained between two reads at rest. */
static void judge_gains(const struct hist *h, const struct hist_op *first, const struct hist_op *last,
                        struct findings *out)
{
    for (unsigned i = 0; i < first->steps_count; i++) {
        const char *key = first->steps[i].key;
        const struct hist_step *end = account_of(last, key);
        int64_t least = first->steps[i].value.number, most = least;
        for (size_t n = 0; n < h->count && end != NULL; n++) {
            const struct hist_op *op = &h->ops[n];
            for (unsigned s = 0; op->f == HIST_TRANSFER && s < op->steps_count; s++) {
                int64_t gain = op->steps[s].key == key ? op->steps[s].value.number : 0;
                least += op->outcome == HIST_OK || (op->outcome == HIST_INFO && gain < 0) ? gain : 0;
                most += op->outcome == HIST_OK || (op->outcome == HIST_INFO && gain > 0) ? gain : 0;
            }
        }
        if (end == NULL || (end->value.number >= least && end->value.number <= most)) {
            continue;
        }
        struct anomaly *a =
            findings_add(out, "lost-transfer",
                         "account %s has %" PRId64
                         " at the end, but by the transfers that were done it must be %" PRId64 " to %" PRId64,
                         key, end->value.number, least, most);
        anomaly_op(a, first);
        anomaly_op(a, last);
        for (size_t n = h->count; n-- > 0;) { /* the last transfers of this account: the likely ones */
            const struct hist_op *op = &h->ops[n];
            for (unsigned s = 0; op->f == HIST_TRANSFER && op->outcome == HIST_OK && s < op->steps_count; s++) {
                if (op->steps[s].key == key) {
                    anomaly_op(a, op);
                }
            }
        }
    }
}

void check_bank(const struct hist *h, const struct check_options *o, struct findings *out)
{
    const struct hist_op *first = NULL, *rest = NULL; /* the first read; the first one at rest behind all transfers */
    int64_t begun_us = HIST_NEVER, ended_us = INT64_MIN;
    (void)o;
    for (size_t i = 0; i < h->count; i++) {
        const struct hist_op *op = &h->ops[i];
        if (op->f == HIST_TRANSFER) {
            out->checked++;
            begun_us = MIN(begun_us, op->start_us);
            ended_us = MAX(ended_us, op->outcome == HIST_OK ? op->end_us : op->start_us);
        }
    }
    for (size_t i = 0; i < h->count; i++) {
        const struct hist_op *op = &h->ops[i];
        if (op->f != HIST_BALANCES) {
            continue;
        }
        out->checked++;
        if (op->outcome == HIST_OK) {
            first = first == NULL ? op : first;
            rest = op->start_us > ended_us ? op : rest;
            judge_read(h, first, op, out);
        }
    }
    if (first != NULL && rest != NULL && first->end_us < begun_us) {
        judge_gains(h, first, rest, out);
    }
}
