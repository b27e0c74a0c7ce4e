/* What all writes share: evaluated on the tip, answered at commit.
 *
 * What a transaction wrote is known from its evaluation, so the answer shows exactly that, whatever others wrote in the
 * same entry. A repetition is answered from what the store remembers of the first time; of an object that the
 * transaction has taken away (the last finalizer of one being deleted), the answer shows what it was last. */
#include "master/api/write.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/revoked.h"
#include "master/master.h"
#include "master/members/members.h"
#include "master/warn.h"
#include "proto/schema/release.h"

struct write *write_new(struct api_call *c, enum api_verb verb)
{
    struct write *w = xcalloc(1, sizeof *w);
    w->call = c;
    w->verb = verb;
    return w;
}

static void write_free(struct write *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        object_unref(w->items[i].object);
        object_unref(w->items[i].before);
    }
    free(w->items);
    free(w);
}

void write_add(struct write *w, const struct kind *k, struct str ns, struct str name, const struct object *old)
{
    if (w->count == w->cap) {
        w->cap = w->cap == 0 ? 1 : w->cap * 2;
        w->items = xrealloc(w->items, w->cap * sizeof *w->items);
    }
    struct arena *a = w->call->arena;
    w->items[w->count++] = (struct write_item){
        .kind = k,
        .ns = {arena_strndup(a, ns.p, ns.n), ns.n},
        .name = {arena_strndup(a, name.p, name.n), name.n},
        .before = old == NULL ? NULL : object_ref(old),
    };
}

/* ---- Answers ---- */

void write_answered(const struct txn_result *result, const struct error *error, void *data)
{
    struct write *w = data;
    struct api_call *c = w->call;
    if (error != NULL) {
        c->front->fail(c, error);
        write_free(w);
        return;
    }
    if (w->then != NULL) {
        void (*then)(struct api_call *) = w->then;
        write_free(w);
        then(c);
        return;
    }
    unsigned count = w->verb == API_DELETECOLLECTION ? w->counted : w->count;
    struct api_item *items = w->count == 0 ? NULL : arena_alloc(c->arena, w->count * sizeof *items);
    for (unsigned i = 0; i < w->count; i++) {
        const struct write_item *from = &w->items[i];
        items[i] = (struct api_item){.object = from->object, .done = from->done, .gone = from->gone};
    }
    api_answer(c, &(struct api_answer){.verb = w->verb,
                                       .revision = result->revision,
                                       .items = items,
                                       .count = w->repeat_count > 0 ? w->repeat_count : count,
                                       .unchanged = result->unchanged,
                                       .warnings = c->warnings});
    write_free(w);
}

void write_refuse(struct write *w, const struct error *err)
{
    replica_refuse(w->call->m->replica, err, write_answered, w);
}

void api_refuse(struct api_call *c, const struct error *err)
{
    write_refuse(write_new(c, API_TXN), err);
}

int error_not_found(struct error *err, const struct kind *k, struct str name)
{
    char resource[128];
    kind_resource_name(k, resource, sizeof resource);
    error_set(err, ERR_NOT_FOUND, "%s \"%.*s\" not found", resource, STR_ARG(name));
    kind_error_about(err, k, name);
    return ERR_NOT_FOUND;
}

void api_refuse_of(struct api_call *c, const struct api_target *of, struct error *err)
{
    if (of->kind != NULL) {
        kind_error_about(err, of->kind, of->name);
    }
    api_refuse(c, err);
}

void api_refuse_not_found(struct api_call *c, const struct kind *k, struct str name)
{
    struct error err = {0};
    error_not_found(&err, k, name);
    api_refuse(c, &err);
}

/* ---- What became of the objects ---- */

/* What the transaction made of the object before that took it away: an update that empties the finalizers of an object
 * being deleted is its deletion, and is answered with the object as it was last. NULL: it was deleted without an
 * update. */
static struct object *last_state(const struct write *w, const struct write_item *item)
{
    static const char *const kept[] = {"uid", "creationTimestamp", "generation", "deletionTimestamp",
                                       "deletionGracePeriodSeconds"};
    struct arena *a = w->call->arena;
    for (unsigned i = 0; i < w->txn->count; i++) {
        const struct txn_op *op = &w->txn->ops[i];
        if (op->type != TXN_UPDATE || op->part == TXN_PART_STATUS || op->kind != item->kind ||
            !str_eq(op->ns, item->ns) || !str_eq(op->name, item->name)) {
            continue;
        }
        struct value *doc = object_to_value(a, op->object), *old = object_to_value(a, item->before);
        struct value *metadata = value_ensure_map(a, doc, "metadata");
        for (unsigned k = 0; k < ARRAY_SIZE(kept); k++) {
            struct value *v = value_get(value_get(old, "metadata"), kept[k]);
            if (v != NULL) {
                value_set(a, metadata, kept[k], v);
            }
        }
        if (op->part == TXN_PART_SPEC && value_get(old, "status") != NULL) {
            value_set(a, doc, "status", value_get(old, "status"));
        }
        struct object *o = NULL;
        return object_from_value(item->kind, doc, item->before->revision, &o, NULL) == 0 ? o : NULL;
    }
    return NULL;
}

static bool is_of(const struct change *ch, const struct write_item *item)
{
    const struct object *o = ch->new != NULL ? ch->new : ch->old;
    return o->kind == item->kind && str_eq(o->name, item->name) && str_eq(o->ns, item->ns);
}

/* The item's change; NULL: there is none. Changes come in the order of the operations, as the items do; *at is the next
 * one. What the master itself adds to a transaction (revoked.c) comes behind them. Only a transaction of the user's own
 * making may name an object twice. */
static const struct change *change_of(const struct write *w, const struct write_item *item,
                                      const struct change *changes, unsigned count, unsigned *at)
{
    if (*at < count && is_of(&changes[*at], item)) {
        return &changes[(*at)++];
    }
    for (unsigned i = 0; w->verb == API_TXN && i < count; i++) {
        if (is_of(&changes[i], item)) {
            return &changes[i];
        }
    }
    return NULL;
}

void write_decided(const struct change *changes, unsigned count, void *data)
{
    struct write *w = data;
    unsigned at = 0;
    for (unsigned i = 0; i < w->count; i++) {
        struct write_item *item = &w->items[i];
        const struct change *ch = change_of(w, item, changes, count, &at);
        if (ch == NULL) {
            item->done = API_DONE_UNCHANGED;
            item->gone = item->before == NULL;
            item->object = item->before == NULL ? NULL : object_ref(item->before);
            continue;
        }
        object_unref(item->before);
        item->before = ch->old == NULL ? NULL : object_ref(ch->old);
        item->gone = ch->new == NULL;
        item->done = item->gone ? API_DONE_DELETED : ch->old == NULL ? API_DONE_CREATED : API_DONE_CONFIGURED;
        if (!item->gone) {
            item->object = object_ref(ch->new);
            continue;
        }
        struct object *last = last_state(w, item);
        item->object = last != NULL ? last : object_ref(item->before);
    }
}

/* Is what has the name now the object that the first time was about? Another one may have been made since. Of what was
 * changed nobody remembers which one it was. What was created tells it by its uid, unless that was given by whoever
 * asked, or made by a program of before (txn_mark_uid): then it is the same if nobody has written it since, and as long
 * as such programs may lead its name has to do; not for what is secret, which might be another's. */
static bool is_the_same(const struct write *w, const struct object *now, const struct txn_past *past,
                        enum txn_done done, const uint8_t *id)
{
    if (w->verb == API_CREATE || done == TXN_DONE_CREATED) {
        return txn_made_uid(id, now->uid) || now->revision <= past->revision ||
               (!now->kind->secret && store_level(replica_store(w->call->m->replica)) < release.level);
    }
    if (done == TXN_DONE_DELETED) {
        return false;
    }
    return w->verb != API_DELETE || done != TXN_DONE_CHANGED || now->deleting; /* it was told to go, and has not */
}

/* The answer of the first time, as far as it is remembered: what was done always, the object as it was then while the
 * store's history has it, later as it is now, if it is there. */
static void fill_repeated(struct write *w, struct txn_past *past, const uint8_t *id)
{
    const struct view *tip = api_tip(w->call);
    w->repeat_count = w->verb == API_DELETECOLLECTION ? store_past_count(past) : 0;
    for (unsigned i = 0; i < w->count; i++) {
        struct write_item *item = &w->items[i];
        const struct object *then, *now = view_get(tip, item->kind, item->ns, item->name);
        enum txn_done done = store_past_did(past, item->kind, item->ns, item->name, &then);
        if (then == NULL && now != NULL && !is_the_same(w, now, past, done, id)) {
            now = NULL;
        }
        bool older = now != NULL && now->revision + TXN_OPS_MAX <= past->revision; /* than any object of it can be */
        const struct object *o = then != NULL ? then : now;
        item->object = o == NULL ? NULL : object_ref(o);
        item->gone = done == TXN_DONE_DELETED || o == NULL;
        item->done = done == TXN_DONE_CREATED            ? API_DONE_CREATED
                     : done == TXN_DONE_UNCHANGED        ? API_DONE_UNCHANGED
                     : done == TXN_DONE_DELETED          ? API_DONE_DELETED
                     : done == TXN_DONE_UNKNOWN && older ? API_DONE_UNCHANGED
                                                         : API_DONE_CONFIGURED;
    }
}

/* ---- Warnings ---- */

/* The answer that was lost had its warnings. */
static void warn_again(struct write *w)
{
    struct api_call *c = w->call;
    struct admission ad = {.arena = c->arena, .warnings = &c->warnings, .many = w->count > 1};
    bool shows =
        w->verb != API_DELETE && w->verb != API_DELETECOLLECTION && w->verb != API_EVICT && w->verb != API_BIND;
    for (unsigned i = 0; shows && i < w->count; i++) {
        const struct object *o = w->items[i].object;
        if (o != NULL && !w->items[i].gone) {
            admit_warnings(&ad, o->kind, object_to_value(c->arena, o));
        }
    }
}

#define UNDONE_EVENT_SIZE_MAX 1024u

/* Whoever looks at the object later was not warned: an event says it. */
static void tell_undone(const struct write *w, const struct object *o)
{
    struct kind_warnings found;
    kind_find_warnings(o->kind, w->call->arena, object_to_value(w->call->arena, o), &found);
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < found.count && text.size + strlen(found.items[i]) < UNDONE_EVENT_SIZE_MAX; i++) {
        buf_printf(&text, "%s%s", i == 0 ? "" : "; ", found.items[i]);
    }
    if (text.size > 0) {
        master_warn(w->call->m, o, "NotCarriedOut", buf_str(&text));
    }
}

/* Whoever makes the state larger hears that it is nearly full. */
static void warn_of_state(struct api_call *c, const struct txn *t)
{
    char text[400];
    struct replica_state state;
    bool makes = false;
    for (unsigned i = 0; i < t->count && !makes; i++) {
        makes = t->ops[i].type == TXN_CREATE;
    }
    replica_state(c->m->replica, &state);
    if (makes && members_state_warning(&state, text, sizeof text)) {
        c->warnings = c->warnings != NULL ? c->warnings : value_list(c->arena);
        value_append(c->arena, c->warnings, value_cstr(c->arena, text));
    }
}

/* ---- Submitting ---- */

void api_txn_init(struct txn *t, const struct api_write *how)
{
    txn_init(t, "api");
    if (how->id != NULL) {
        txn_set_id(t, how->id);
    }
}

bool api_repeats(const struct api_call *c, const struct txn *t)
{
    uint64_t revision;
    return t->has_id && store_find_txn(replica_store(c->m->replica), t->id, &revision);
}

const struct view *api_tip(const struct api_call *c)
{
    const struct view *tip = store_tip(replica_store(c->m->replica));
    assert(tip != NULL);
    return tip;
}

void write_submit(struct write *w, const struct api_write *how, struct txn *t)
{
    struct master *m = w->call->m;
    w->txn = t;
    w->dry_run = how->dry_run;
    if (w->dry_run) {
        write_dry_run(w, t);
        return;
    }
    struct txn_past past;
    struct error err = {0};
    bool repeat = t->has_id && store_past(replica_store(m->replica), t->id, &past);
    if (repeat) {
        fill_repeated(w, &past, t->id);
        warn_again(w);
    } else if (revoked_add_nodes(m, t, &err) != 0) {
        write_refuse(w, &err);
        return;
    }
    if (replica_submit_seen(m->replica, t, write_decided, write_answered, w, &err) == 0 && !repeat) {
        for (unsigned i = 0; w->call->warnings != NULL && i < w->count; i++) {
            const struct write_item *item = &w->items[i];
            if (item->object != NULL && !item->gone && item->done != API_DONE_UNCHANGED) {
                tell_undone(w, item->object);
            }
        }
        warn_of_state(w->call, t);
    }
    w->txn = NULL;
    master_wake(m);
}

void write_of_one(struct api_call *c, enum api_verb verb, const struct api_write *how, const struct api_target *of,
                  write_decide *decide, const void *request)
{
    struct txn t;
    struct error err = {0};
    api_txn_init(&t, how);
    bool repeat = api_repeats(c, &t);
    const struct object *old = repeat ? NULL : view_get(api_tip(c), of->kind, of->ns, of->name);
    if (!repeat) {
        decide(c, request, old, &t, &err);
    }
    if (err.code != 0) {
        api_refuse_of(c, of, &err);
    } else {
        struct write *w = write_new(c, verb);
        write_add(w, of->kind, of->ns, of->name, old);
        write_submit(w, how, &t);
    }
    txn_close(&t);
}
