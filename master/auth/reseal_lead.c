/* The leader's part: it asks the masters how far they are, and takes the next step. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "master/auth/reseal_int.h"
#include "master/members/members.h"

/* ---- Writing the record ---- */

static struct value *document(struct arena *a, const struct object *old)
{
    if (old != NULL) {
        return object_to_value(a, old);
    }
    struct value *doc = value_map(a), *metadata = value_ensure_map(a, doc, "metadata");
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "ConfigMap"));
    value_set(a, metadata, "name", value_cstr(a, "reeve-seal"));
    value_set(a, metadata, "namespace", value_cstr(a, "kube-system"));
    return doc;
}

static void set_text(struct arena *a, struct value *data, const char *key, const char *text)
{
    if (text[0] != '\0') {
        value_set(a, data, key, value_cstr(a, text));
    }
}

int reseal_write_record(struct master *m, struct txn *t, const struct reseal_record *record, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf old_ids = BUF_INIT;
    const struct kind *k = kind_by_id(KIND_CONFIGMAP);
    const struct object *old = reseal_record_in(store_tip(replica_store(m->replica)));
    struct value *doc = document(&a, old), *data = value_map(&a);
    for (unsigned i = 0; i < record->old.count; i++) {
        buf_printf(&old_ids, "%s%s", i == 0 ? "" : " ", record->old.id[i]);
    }
    value_set(&a, doc, "data", data);
    value_set(&a, data, "phase", value_cstr(&a, reseal_phases[record->phase]));
    set_text(&a, data, "seals", record->seals);
    set_text(&a, data, "next", record->next);
    set_text(&a, data, "old", buf_cstr(&old_ids));
    set_text(&a, data, "since", record->since);
    set_text(&a, data, "finish", record->finish ? "true" : "");
    return old == NULL ? txn_create_value(t, k, doc, err)
                       : txn_update_value(t, k, doc, TXN_PART_ALL, old->revision, err);
}

/* ---- Who is waited for ---- */

/* Masters that answer are always waited for. True: this one has, or may have, what the phase wants. */
static void look_at_member(struct master *m, const struct replica_member *member, bool *somebody)
{
    static const char *const missing[] = {"", "has not got the new key yet", "does not seal with the new key yet",
                                          "has not removed yet what the old key has sealed",
                                          "has not dropped the old key yet"};
    struct reseal *r = m->reseal;
    struct reseal_report own, *report = &own;
    if (member->id == m->config.id) {
        reseal_own_report(m, &own);
    } else {
        unsigned row = poll_ask(m, &r->poll, member->id);
        if (row == POLL_MEMBERS_MAX ||
            poll_heard(m, &r->poll, row, member, r->record.finish, "replace the key that seals") != POLL_ANSWERS) {
            *somebody = *somebody || (row < POLL_MEMBERS_MAX && members_up(m, member->id));
            return;
        }
        report = &r->reports[row];
    }
    if (report->revision != r->revision) {
        *somebody = true;
        poll_wait_for(&r->poll, "master %" PRIu64 " has not come so far yet", member->id);
    } else if (!report->done) {
        poll_wait_for(&r->poll, "master %" PRIu64 " %s", member->id, missing[r->record.phase]);
    } else {
        *somebody = true;
    }
}

/* False: all that can be reached have said that they lack what the phase wants. */
static bool look(struct master *m)
{
    struct replica_member members[POLL_MEMBERS_MAX];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    bool somebody = false;
    poll_wait_for_nobody(&m->reseal->poll);
    for (unsigned i = 0; i < n; i++) {
        look_at_member(m, &members[i], &somebody);
    }
    return somebody;
}

/* ---- The next step ---- */

static void written(const struct txn_result *result, const struct error *error, void *data)
{
    struct master *m = data;
    (void)result;
    m->reseal->writing = false;
    if (error != NULL) {
        log_debug(&m->log, "reseal", "the step is not noted: %s", error->message); /* whoever leads tries again */
    } else if (failpoint(FAILPOINT_reseal_after_step)) {
        log_debug(&m->log, "reseal", "failpoint");
    }
}

static void write_step(struct master *m, struct reseal_record *next)
{
    struct reseal *r = m->reseal;
    const struct view *tip = store_tip(replica_store(m->replica));
    const struct object *o = tip == NULL ? NULL : reseal_record_in(tip);
    if (o == NULL || o->revision != r->revision || failpoint(FAILPOINT_reseal_before_step)) {
        return; /* it is just being changed */
    }
    struct txn t;
    txn_init(&t, "reseal");
    timefmt_rfc3339(env_wall_ms(m->env), next->since);
    if (reseal_write_record(m, &t, next, NULL) == 0) {
        r->writing = true;
        replica_submit(m->replica, &t, written, m, NULL);
    }
    txn_close(&t);
}

/* Whatever else anybody holds is of no use when all disks are clean. */
static void name_old(const struct reseal *r, struct reseal_ids *keys, struct reseal_record *next)
{
    for (unsigned i = 0; i < keys->count; i++) {
        if (strcmp(keys->id[i], r->record.seals) != 0) {
            reseal_ids_add(&next->old, keys->id[i]);
        }
    }
}

static void next_step(struct master *m)
{
    struct reseal *r = m->reseal;
    struct reseal_record next = r->record;
    struct reseal_report own;
    next.phase = r->record.phase == RESEAL_DROP ? RESEAL_NONE : (enum reseal_phase)(r->record.phase + 1);
    switch (next.phase) {
    case RESEAL_USE:
        reseal_ids_add(&next.old, r->record.seals);
        snprintf(next.seals, sizeof next.seals, "%s", r->record.next);
        next.next[0] = '\0';
        break;
    case RESEAL_DROP:
        reseal_own_report(m, &own);
        name_old(r, &own.keys, &next);
        for (unsigned i = 0; i < POLL_MEMBERS_MAX; i++) {
            name_old(r, &r->reports[i].keys, &next);
        }
        break;
    case RESEAL_NONE:
        next.finish = false;
        break;
    case RESEAL_SPREAD:
    case RESEAL_CLEAN:
        break;
    }
    write_step(m, &next);
}

/* The one that was made is lost with its maker: nothing has been sealed with it. If it comes back it is dropped. */
static void make_another(struct master *m)
{
    struct reseal_record next = m->reseal->record;
    struct error err = {0};
    reseal_ids_add(&next.old, next.next);
    if (reseal_make_next(m, &next, &err) == 0) {
        log_info(&m->log, "reseal", "nobody who answers has the new key: making another one");
        write_step(m, &next);
    } else {
        log_warn(&m->log, "reseal", "%s", err.message);
    }
}

void reseal_lead(struct master *m)
{
    struct reseal *r = m->reseal;
    if (r->record.phase == RESEAL_NONE || r->writing || m->stopping) {
        return;
    }
    bool somebody = look(m);
    if (!transport_settled(m->transport, core_leading_since_ms(m->core))) {
        return;
    }
    if (r->record.phase == RESEAL_SPREAD && !somebody) {
        make_another(m);
    } else if (r->poll.waiting_count == 0) {
        next_step(m);
    }
}

/* ---- What is told about it ---- */

bool reseal_write(struct master *m, struct buf *b)
{
    const struct reseal *r = m->reseal;
    if (!reseal_under_way(m)) {
        return false;
    }
    bool leading = replica_leading(m->replica);
    mp_write_cstr(b, "resealing");
    mp_write_map(b, leading ? 4 : 2);
    mp_write_key_str(b, "phase", str_of(reseal_phases[r->record.phase]));
    mp_write_key_str(b, "since", str_of(r->record.since));
    if (leading) {
        poll_write_waiting(&r->poll, b);
    }
    return true;
}
