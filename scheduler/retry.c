/* The slow retry: now and then all that waits is looked at without a reason. Whatever could help a waiting pod wakes it
 * at once (queue.c, nominate.c), so this finds nothing; that it finds nothing is what shows it: stats.retry_found,
 * which the masters tell as a metric and tests hold at 0. */
#include "scheduler/core.h"

static bool fits_somewhere(const struct scheduler *s, const struct sched_class *c)
{
    for (unsigned slot = 0; slot < s->slots_count; slot++) {
        if (s->slots[slot] != NULL && sched_node_fits(c, s->slots[slot], NULL)) {
            return true;
        }
    }
    return false;
}

static void look_at(struct scheduler *s, struct sched_class *c, const struct view *tip)
{
    if (c->active_count > 0) {
        return; /* it is being woken, one group after the other */
    }
    s->stats.retries++;
    if (class_resolve(s, c, tip) || fits_somewhere(s, c)) {
        s->stats.retry_found++;
        log_warn(s->config.log, "scheduler",
                 "%u pods like %.*s/%.*s waited although there was a place for one: no change had woken them",
                 c->parked_count, STR_ARG(c->sample->ns), STR_ARG(c->sample->name));
        queue_wake_class(s, c);
    }
}

void retry_some(struct scheduler *s, const struct view *tip)
{
    if (s->config.env == NULL) {
        return;
    }
    if (s->retry_left == 0) {
        if (list_empty(&s->parked_classes) && s->gangs.parked_count == 0) {
            s->retry_due_ms = 0;
            return;
        }
        int64_t now_ms = env_now_ms(s->config.env);
        bool due = s->retry_due_ms != 0 && now_ms >= s->retry_due_ms;
        if (due || s->retry_due_ms == 0) {
            s->retry_due_ms = now_ms + RETRY_MS;
        }
        for (struct list *at = s->parked_classes.next; due && at != &s->parked_classes; at = at->next) {
            s->retry_left++;
        }
        if (due) {
            gangs_retry(s);
        }
    }
    if (s->woken != s->helpful || s->places.woken != s->places.changes || s->storage_woken != s->storage_changes) {
        return; /* this very round has freed something: who is helped by it is woken with the next */
    }
    /* The first of the list goes to its end: each is looked at once, whatever comes and goes meanwhile. */
    for (unsigned i = 0; i < RETRY_CLASSES && s->retry_left > 0; i++) {
        s->retry_left--;
        if (list_empty(&s->parked_classes)) {
            s->retry_left = 0;
            break;
        }
        struct sched_class *c = LIST_ENTRY(s->parked_classes.next, struct sched_class, parked_link);
        list_remove(&c->parked_link);
        list_push_back(&s->parked_classes, &c->parked_link);
        look_at(s, c, tip);
    }
}

int64_t scheduler_next_deadline(const struct scheduler *s)
{
    int64_t at = INT64_MAX;
    at = s->nominees_due_ms != 0 ? MIN(at, s->nominees_due_ms) : at;
    at = s->retry_due_ms != 0 ? MIN(at, s->retry_due_ms) : at;
    at = s->gangs.hold_until_ms != 0 ? MIN(at, s->gangs.hold_until_ms) : at;
    at = s->gangs.retell_ms != 0 ? MIN(at, s->gangs.retell_ms) : at;
    return s->retry_left > 0 ? 0 : at;
}
