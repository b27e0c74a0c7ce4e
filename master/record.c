#include "master/record.h"
#include "master/members/members.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RECORD_NS   STR("kube-system")
#define RECORD_NAME STR("reeve-cluster")

const struct object *record_object(const struct view *v)
{
    return view_get(v, kind_by_id(KIND_CONFIGMAP), RECORD_NS, RECORD_NAME);
}

struct mp record_data(const struct view *v)
{
    const struct object *o = record_object(v);
    return o == NULL ? (struct mp){NULL, NULL} : mp_get(object_mp(o), "data");
}

bool record_open(struct master *m, struct arena *a, struct record *r)
{
    const struct view *tip = store_tip(replica_store(m->replica));
    const struct object *o = tip == NULL ? NULL : view_get(tip, kind_by_id(KIND_CONFIGMAP), RECORD_NS, RECORD_NAME);
    if (o == NULL) {
        return false;
    }
    *r = (struct record){.arena = a, .doc = object_to_value(a, o), .revision = o->revision};
    r->data = value_ensure_map(a, r->doc, "data");
    return true;
}

int record_put(const struct record *r, struct txn *t, struct error *err)
{
    return txn_update_value(t, kind_by_id(KIND_CONFIGMAP), r->doc, TXN_PART_ALL, r->revision, err);
}

struct str record_get(const struct record *r, const char *key)
{
    return value_to_str(value_get(r->data, key));
}

static uint64_t number(struct str s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && n < UINT64_MAX / 16; i++) {
        n = n * 10 + (uint64_t)(s.p[i] - '0');
    }
    return n;
}

unsigned record_level(const struct view *v)
{
    return (unsigned)MIN(number(mp_str(mp_get(record_data(v), RECORD_LEVEL))), (uint64_t)INT32_MAX);
}

uint64_t record_get_id(const struct record *r, const char *key)
{
    return number(record_get(r, key));
}

const char *record_key(const struct record *r, const char *prefix, uint64_t id)
{
    return arena_printf(r->arena, "%s.%" PRIu64, prefix, id);
}

uint64_t record_key_id(struct str key, const char *prefix)
{
    size_t n = strlen(prefix);
    bool is = key.n > n + 1 && memcmp(key.p, prefix, n) == 0 && key.p[n] == '.';
    return is ? number((struct str){key.p + n + 1, key.n - n - 1}) : 0;
}

/* ---- Sets of ids ---- */

/* The next range of the text; false at its end. */
static bool next_range(struct str *text, uint64_t *from, uint64_t *to)
{
    while (text->n > 0 && (*text->p < '0' || *text->p > '9')) {
        text->p++;
        text->n--;
    }
    if (text->n == 0) {
        return false;
    }
    const char *end = memchr(text->p, ' ', text->n);
    size_t n = end == NULL ? text->n : (size_t)(end - text->p);
    const char *dash = memchr(text->p, '-', n);
    *from = number((struct str){text->p, n});
    *to = dash == NULL ? *from : number((struct str){dash + 1, n - (size_t)(dash + 1 - text->p)});
    text->p += n;
    text->n -= n;
    return true;
}

bool record_ids_have(struct str text, uint64_t id)
{
    uint64_t from, to;
    while (next_range(&text, &from, &to)) {
        if (id >= from && id <= to) {
            return true;
        }
    }
    return false;
}

uint64_t record_ids_max(struct str text)
{
    uint64_t from, to, max = 0;
    while (next_range(&text, &from, &to)) {
        max = MAX(max, to);
    }
    return max;
}

/* ---- Ids ---- */

/* A number alone is a set of one. */
static uint64_t next_id(struct str next, struct str removed)
{
    return MAX(record_ids_max(next), record_ids_max(removed) + 1);
}

uint64_t record_next_id_in(const struct view *v)
{
    struct mp data = record_data(v);
    return next_id(mp_str(mp_get(data, "nextMasterId")), mp_str(mp_get(data, "removedMasters")));
}

uint64_t record_next_id(struct master *m, const struct record *r)
{
    uint64_t id = next_id(record_get(r, "nextMasterId"), record_get(r, "removedMasters"));
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n; i++) {
        id = MAX(id, members[i].id + 1);
    }
    return id;
}

uint64_t record_take_id(struct master *m, struct record *r)
{
    uint64_t id = record_next_id(m, r);
    value_set(r->arena, r->data, "nextMasterId", value_strf(r->arena, "%" PRIu64, id + 1));
    return id;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct replica_member *)a)->id, y = ((const struct replica_member *)b)->id;
    return (x > y) - (x < y);
}

/* All ids below `next` but the members', as text. */
static const char *others(struct arena *a, struct replica_member *members, unsigned n, uint64_t next)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    uint64_t from = 1;
    qsort(members, n, sizeof *members, by_id);
    for (unsigned i = 0; i <= n; i++) {
        uint64_t end = i < n ? MIN(members[i].id, next) : next; /* the gap is [from, end) */
        if (end > from) {
            buf_printf(&b, "%s%" PRIu64, b.size > 0 ? " " : "", from);
            if (end - from > 1) {
                buf_printf(&b, "-%" PRIu64, end - 1);
            }
        }
        from = MAX(from, end + 1);
    }
    return arena_strndup(a, buf_cstr(&b), b.size);
}

static bool set_text(struct record *r, const char *key, const char *text)
{
    struct str now = record_get(r, key);
    if (str_is(now, text)) {
        return false;
    }
    value_set(r->arena, r->data, key, value_cstr(r->arena, text));
    return true;
}

/* A successor is done when it has been seen (not when it is no member: it may never have been added, and its former
 * self asks again); a replacement when either of the two has gone. */
static bool row_is_done(struct master *m, struct str key, struct str text)
{
    struct replica_member there;
    uint64_t new = record_key_id(key, "replaces");
    if (record_key_id(key, "successor") != 0) {
        return members_address(m, number(text), false).n > 0;
    }
    return new != 0 && (!members_find(m, new, NULL, &there) || !members_find(m, number(text), NULL, &there));
}

bool record_settle(struct master *m, struct record *r)
{
    assert(replica_leading(m->replica) && !replica_changing(m->replica));
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    uint64_t next = record_next_id(m, r);
    bool changed = set_text(r, "nextMasterId", arena_printf(r->arena, "%" PRIu64, next));
    const char *removed = others(r->arena, members, n, next);
    if (removed[0] != '\0' || record_get(r, "removedMasters").n > 0) {
        changed = set_text(r, "removedMasters", removed) || changed;
    }
    for (unsigned i = 0; i < value_count(r->data);) {
        struct str key = r->data->map.members[i].key, text = value_to_str(r->data->map.members[i].value);
        if (row_is_done(m, key, text)) {
            value_remove_str_key(r->data, key);
            changed = true;
        } else {
            i++;
        }
    }
    return changed;
}
