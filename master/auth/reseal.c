/* The record, and what each master does about it. The leader's part: reseal_lead.c. */
#include "master/auth/reseal_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "master/members/members.h"
#include "master/quarantine.h"
#include "proto/facts/configdata.h"

#define RECORD_NS   STR("kube-system")
#define RECORD_NAME STR("reeve-seal")
#define FETCH_MS    3000

const char *const reseal_phases[] = {"", "spread", "use", "clean", "drop"};

static void on_answer(struct master *m, unsigned row, struct mp result);

struct reseal *reseal_new(void)
{
    struct reseal *r = xcalloc(1, sizeof *r);
    r->poll.method = "seal.state";
    r->poll.answered = on_answer;
    return r;
}

void reseal_free(struct reseal *r)
{
    if (r != NULL) {
        poll_wait_for_nobody(&r->poll);
        free(r);
    }
}

/* ---- Ids ---- */

bool reseal_ids_have(const struct reseal_ids *ids, const char *id)
{
    for (unsigned i = 0; i < ids->count; i++) {
        if (strcmp(ids->id[i], id) == 0) {
            return true;
        }
    }
    return false;
}

void reseal_ids_add(struct reseal_ids *ids, const char *id)
{
    if (id[0] == '\0' || reseal_ids_have(ids, id)) {
        return;
    }
    if (ids->count == RESEAL_OLD_MAX) {
        memmove(&ids->id[0], &ids->id[1], --ids->count * sizeof ids->id[0]);
    }
    snprintf(ids->id[ids->count++], PKI_RING_ID_SIZE, "%s", id);
}

static void read_id(struct str s, char out[PKI_RING_ID_SIZE])
{
    snprintf(out, PKI_RING_ID_SIZE, "%.*s", s.n < PKI_RING_ID_SIZE ? (int)s.n : 0, s.n == 0 ? "" : s.p);
}

/* ---- The record ---- */

const struct object *reseal_record_in(const struct view *v)
{
    return view_get(v, kind_by_id(KIND_CONFIGMAP), RECORD_NS, RECORD_NAME);
}

bool reseal_is_record(const struct object *o)
{
    return o->kind->id == KIND_CONFIGMAP && str_eq(o->ns, RECORD_NS) && str_eq(o->name, RECORD_NAME);
}

static enum reseal_phase phase_of(struct str word)
{
    for (int i = RESEAL_SPREAD; i <= RESEAL_DROP; i++) {
        if (str_is(word, reseal_phases[i])) {
            return (enum reseal_phase)i;
        }
    }
    return RESEAL_NONE;
}

static void read_ids(struct str words, struct reseal_ids *out)
{
    out->count = 0;
    while (words.n > 0) {
        const char *space = memchr(words.p, ' ', words.n);
        size_t n = space == NULL ? words.n : (size_t)(space - words.p);
        char id[PKI_RING_ID_SIZE];
        read_id((struct str){words.p, n}, id);
        reseal_ids_add(out, id);
        words = (struct str){words.p + n, words.n - n};
        if (words.n > 0) {
            words = (struct str){words.p + 1, words.n - 1};
        }
    }
}

static void read_record(const struct object *o, struct reseal_record *out)
{
    *out = (struct reseal_record){.there = o != NULL};
    if (o == NULL) {
        return;
    }
    out->phase = phase_of(configdata_text(o, "phase"));
    read_id(configdata_text(o, "seals"), out->seals);
    read_id(configdata_text(o, "next"), out->next);
    read_ids(configdata_text(o, "old"), &out->old);
    snprintf(out->since, sizeof out->since, "%.*s", STR_ARG(configdata_text(o, "since")));
    out->finish = str_is(configdata_text(o, "finish"), "true");
}

void reseal_order(const struct view *v, struct pki_ring *keys)
{
    struct reseal_record record;
    read_record(reseal_record_in(v), &record);
    int place = pki_ring_find(keys, record.seals);
    if (place > 0) {
        pki_ring_seal_with(keys, (unsigned)place);
    }
}

static void log_phase(struct master *m, const struct reseal_record *record)
{
    static const char *const words[] = {"done; what the former one has sealed is on no disk of a master",
                                        "masters get the new one", "the new one seals, from now on",
                                        "what the former one has sealed goes from the disks",
                                        "masters drop the former one"};
    log_info(&m->log, "reseal", "the key that seals Secrets is being replaced: %s", words[record->phase]);
}

static void take_in(struct master *m, const struct object *o)
{
    struct reseal *r = m->reseal;
    struct reseal_record before = r->record;
    r->revision = o == NULL ? 0 : o->revision;
    read_record(o, &r->record);
    bool same_key = strcmp(before.seals, r->record.seals) == 0;
    if (before.phase == r->record.phase && same_key && strcmp(before.next, r->record.next) == 0) {
        return;
    }
    poll_restart(&r->poll);
    memset(r->reports, 0, sizeof r->reports);
    r->complained = false;
    /* Who starts may see the end of one replacement, and then that of the next, with nothing in between. */
    if (!same_key || r->record.phase == RESEAL_SPREAD || r->record.phase == RESEAL_USE) {
        r->cleaning = r->swept = false;
    }
    log_phase(m, &r->record);
    master_hasten(m);
}

/* ---- Keys ---- */

int reseal_use_keys(struct master *m, const struct pki_ring *keys, struct error *err)
{
    int rv = master_config_save_seal_keys(&m->config, keys, err);
    if (rv == 0) {
        m->seal_keys = *keys;
        store_set_seal_keys(replica_store(m->replica), keys);
        m->reseal->unsaved = false;
    }
    return rv;
}

/* In memory at once: what seals must not depend on a disk. seal.key follows, and names another one until then. */
static void seal_with_what_is_told(struct master *m)
{
    int place = pki_ring_find(&m->seal_keys, m->reseal->record.seals);
    if (place > 0) {
        pki_ring_seal_with(&m->seal_keys, (unsigned)place);
        store_set_seal_keys(replica_store(m->replica), &m->seal_keys);
        m->reseal->unsaved = true;
    }
}

int reseal_make_next(struct master *m, struct reseal_record *record, struct error *err)
{
    struct pki_ring keys = m->seal_keys;
    uint8_t key[PKI_SEAL_KEY_SIZE];
    env_random(m->env, key, sizeof key);
    pki_ring_id(key, record->next);
    int rv = pki_ring_add(&keys, key);
    if (rv != 0) {
        error_set(err, ERR_BUSY,
                  "this master still has %u keys; it drops them as soon as its disk is clean of what they "
                  "have sealed: try again then",
                  keys.count);
    } else if (failpoint(FAILPOINT_reseal_before_key)) {
        error_set(err, ERR_IO, "write seal.key: failed by a failpoint");
    } else {
        reseal_use_keys(m, &keys, err);
    }
    mem_wipe(key, sizeof key);
    pki_ring_wipe(&keys);
    return err->code; /* every refusal sets it */
}

/* What this master must have. */
static const char *wanted(const struct reseal *r)
{
    return r->record.phase == RESEAL_SPREAD ? r->record.next : r->record.seals;
}

static bool lacks(const struct master *m, const char *id)
{
    return id[0] != '\0' && pki_ring_find(&m->seal_keys, id) < 0;
}

static void complain(struct master *m, const struct error *err)
{
    if (!m->reseal->complained) {
        m->reseal->complained = true;
        log_error(&m->log, "reseal", "replacing the key that seals Secrets: %s", err->message);
    }
}

static void fetched(const struct rpc_result *result, void *data)
{
    struct master *m = data;
    struct error err = {0};
    struct str key = STR_NONE;
    char id[PKI_RING_ID_SIZE] = "";
    m->reseal->fetching = false;
    struct mp bin = result->error == NULL ? mp_get(result->result, "key") : (struct mp){NULL, NULL};
    if (m->stopping || bin.p == NULL || !mp_read_bin(&bin, &key) || key.n != PKI_SEAL_KEY_SIZE) {
        return; /* the next one is asked */
    }
    pki_ring_id((const uint8_t *)key.p, id);
    if (strcmp(id, wanted(m->reseal)) != 0 || !lacks(m, id)) {
        return;
    }
    struct pki_ring keys = m->seal_keys;
    if (pki_ring_add(&keys, (const uint8_t *)key.p) != 0) {
        error_set(&err, ERR_LIMIT, "there is no room for the new one in seal.key beside %u others", keys.count);
    } else if (failpoint(FAILPOINT_reseal_before_store)) {
        error_set(&err, ERR_IO, "write seal.key: failed by a failpoint");
    } else {
        reseal_use_keys(m, &keys, &err);
    }
    pki_ring_wipe(&keys);
    if (err.code != 0) {
        complain(m, &err);
    } else {
        seal_with_what_is_told(m);
    }
}

/* From one member after the other. */
static void fetch(struct master *m, const char *id)
{
    struct reseal *r = m->reseal;
    struct replica_member members[POLL_MEMBERS_MAX];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n && !r->fetching; i++) {
        uint64_t from = members[r->fetched_from++ % n].id;
        if (from != m->config.id && transport_session(m->transport, from) != NULL) {
            CLEANUP_BUF struct buf b = BUF_INIT;
            mp_write_map(&b, 1);
            mp_write_key_str(&b, "id", str_of(id));
            r->fetching = true;
            transport_call(m->transport, from, "seal.key", buf_str(&b), FETCH_MS, fetched, m);
        }
    }
}

/* ---- The disk ---- */

static bool holds_old(const struct master *m)
{
    char id[PKI_RING_ID_SIZE];
    for (unsigned i = 1; i < m->seal_keys.count; i++) {
        pki_ring_id(m->seal_keys.keys[i], id);
        if (reseal_ids_have(&m->reseal->record.old, id)) {
            return true;
        }
    }
    return false;
}

static bool seals_as_told(const struct master *m)
{
    return pki_ring_find(&m->seal_keys, m->reseal->record.seals) == 0;
}

static bool is_clean(const struct master *m)
{
    return m->reseal->cleaning && m->reseal->swept && replica_is_clean(m->replica);
}

static void clean(struct master *m)
{
    struct reseal *r = m->reseal;
    struct error err = {0};
    if (!r->cleaning) {
        replica_clean(m->replica);
        r->cleaning = true;
    }
    if (!r->swept && quarantine_remove_all(&m->config, &m->log, &err) != 0) {
        complain(m, &err);
    } else {
        r->swept = true;
    }
}

static void drop_old(struct master *m)
{
    struct pki_ring keys = m->seal_keys;
    struct error err = {0};
    char id[PKI_RING_ID_SIZE];
    for (unsigned i = keys.count; i-- > 1;) {
        pki_ring_id(keys.keys[i], id);
        if (reseal_ids_have(&m->reseal->record.old, id)) {
            pki_ring_remove(&keys, i);
        }
    }
    if (failpoint(FAILPOINT_reseal_before_drop)) {
        error_set(&err, ERR_IO, "write seal.key: failed by a failpoint");
    } else {
        reseal_use_keys(m, &keys, &err);
    }
    pki_ring_wipe(&keys);
    if (err.code != 0) {
        complain(m, &err);
    }
}

/* ---- Carrying it out ---- */

static void do_it(struct master *m)
{
    struct reseal *r = m->reseal;
    struct error err = {0};
    if (!r->record.there || m->stopping) {
        return;
    }
    if (r->unsaved && reseal_use_keys(m, &m->seal_keys, &err) != 0) {
        complain(m, &err);
    }
    if (lacks(m, wanted(r)) && !r->fetching) {
        fetch(m, wanted(r));
    }
    bool dropping = (r->record.phase == RESEAL_DROP || r->record.phase == RESEAL_NONE) && holds_old(m);
    if ((r->record.phase == RESEAL_CLEAN || dropping) && seals_as_told(m)) {
        if (!is_clean(m)) {
            clean(m);
        }
        if (dropping && is_clean(m)) {
            drop_old(m);
        }
    }
}

static bool see_record(struct master *m)
{
    const struct object *o = reseal_record_in(store_committed(replica_store(m->replica)));
    if ((o == NULL ? 0 : o->revision) == m->reseal->revision) {
        return false;
    }
    take_in(m, o);
    seal_with_what_is_told(m);
    return true;
}

void reseal_advance(struct master *m)
{
    if (see_record(m)) {
        do_it(m);
    }
}

bool reseal_on_fork(struct master *m)
{
    if (m->replica == NULL || m->stopping) {
        return true;
    }
    see_record(m);
    return !lacks(m, m->reseal->record.seals);
}

bool reseal_may_lead(struct master *m)
{
    see_record(m);
    if (!lacks(m, m->reseal->record.seals)) {
        return true;
    }
    log_error(
        &m->log, "reseal",
        "this master was elected, but was away while the key that seals Secrets was replaced, and has not got the "
        "new one yet: what it sealed nobody could open. It ends, so that another one leads; start it again");
    return false;
}

void reseal_tick(struct master *m)
{
    do_it(m);
    if (replica_leading(m->replica)) {
        reseal_lead(m);
    }
}

bool reseal_under_way(const struct master *m)
{
    return m->reseal->record.phase != RESEAL_NONE;
}

/* ---- What masters tell each other ---- */

void reseal_own_report(struct master *m, struct reseal_report *out)
{
    const struct reseal *r = m->reseal;
    *out = (struct reseal_report){.revision = r->revision};
    for (unsigned i = 0; i < m->seal_keys.count; i++) {
        char id[PKI_RING_ID_SIZE];
        pki_ring_id(m->seal_keys.keys[i], id);
        reseal_ids_add(&out->keys, id);
    }
    switch (r->record.phase) {
    case RESEAL_SPREAD:
        out->done = !lacks(m, r->record.next);
        break;
    case RESEAL_USE:
        out->done = seals_as_told(m);
        break;
    case RESEAL_CLEAN:
        out->done = seals_as_told(m) && is_clean(m);
        break;
    case RESEAL_DROP:
        out->done = seals_as_told(m) && !r->unsaved && !holds_old(m);
        break;
    case RESEAL_NONE:
        out->done = true;
        break;
    }
}

void reseal_tell(struct master *m, struct rpc_request *req)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct reseal_report own;
    reseal_own_report(m, &own);
    mp_write_map(&b, 3);
    mp_write_key_int(&b, "revision", (int64_t)own.revision);
    mp_write_key_bool(&b, "done", own.done);
    mp_write_cstr(&b, "keys");
    mp_write_array(&b, own.keys.count);
    for (unsigned i = 0; i < own.keys.count; i++) {
        mp_write_cstr(&b, own.keys.id[i]);
    }
    rpc_reply(req, buf_str(&b));
}

static void on_answer(struct master *m, unsigned row, struct mp result)
{
    struct reseal_report *to = &m->reseal->reports[row];
    unsigned n = 0;
    *to = (struct reseal_report){.revision = (uint64_t)mp_int(mp_get(result, "revision"), 0),
                                 .done = mp_bool(mp_get(result, "done"), false)};
    for (struct mp_iter it = mp_iter(mp_get(result, "keys")); mp_next(&it) && n++ < PKI_RING_MAX;) {
        char id[PKI_RING_ID_SIZE];
        read_id(mp_str(it.value), id);
        reseal_ids_add(&to->keys, id);
    }
}

/* Only what the record tells to have: nobody needs another one. */
void reseal_give(struct master *m, struct rpc_request *req, struct mp params)
{
    const struct reseal_record *record = &m->reseal->record;
    CLEANUP_BUF_WIPE struct buf b = BUF_INIT;
    char id[PKI_RING_ID_SIZE];
    read_id(mp_str(mp_get(params, "id")), id);
    bool told = id[0] != '\0' && (strcmp(id, record->next) == 0 || strcmp(id, record->seals) == 0);
    int place = told ? pki_ring_find(&m->seal_keys, id) : -1;
    if (place < 0) {
        struct error err = {0};
        error_set(&err, ERR_NOT_FOUND, "this master has no key \"%s\" to give", id);
        rpc_reply_error(req, &err);
        return;
    }
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "key");
    mp_write_bin(&b, m->seal_keys.keys[place], PKI_SEAL_KEY_SIZE);
    rpc_reply(req, buf_str(&b));
}
