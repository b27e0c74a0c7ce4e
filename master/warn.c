#include "master/warn.h"

#include "base/timefmt.h"
#include "raft-store/store/event.h"

#define WARN_PAUSE_MS 60000 /* between two tellings of one warning */

bool master_warn(struct master *m, const struct object *about, const char *reason, struct str message)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct event_words w = event_about(about);
    w.warning = true;
    w.reason = reason;
    w.component = "reeve-master";
    w.message = message;
    struct value *doc = event_document(&a, &w);
    const struct object *former = view_get(store_tip(replica_store(m->replica)), kind_by_id(KIND_EVENT),
                                           event_namespace(doc), event_name(&a, doc));
    int64_t last_ms, now_ms = env_wall_ms(m->env);
    if (former != NULL && timefmt_parse(mp_str(mp_get(object_mp(former), "lastTimestamp")), &last_ms) &&
        now_ms >= last_ms && now_ms - last_ms < WARN_PAUSE_MS) {
        return false;
    }
    struct txn t;
    struct error err = {0};
    txn_init(&t, "events");
    const struct store *store = replica_store(m->replica);
    unsigned check = KIND_CHECK_LENIENT | KIND_CHECK_LEVEL(store_level(store));
    if (event_put(&t, &a, store_tip(store), doc, now_ms, check, &err) != 0 ||
        (t.count > 0 && replica_submit(m->replica, &t, NULL, NULL, &err) != 0)) {
        log_warn(&m->log, "events", "the event %s about %s %.*s is dropped: %s", reason, about->kind->singular,
                 STR_ARG(about->name), err.message);
    }
    txn_close(&t);
    return true;
}
