/* The verbs of the API over msgpack-RPC. */
#include "master/front/verbs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Parameters ---- */

static bool kind_of(struct call *c, const struct kind **k)
{
    struct str name;
    struct error err = {0};
    if (!call_str(c, "kind", &name, true)) {
        return false;
    }
    *k = api_kind_named(c->m, name, (c->row->flags & METHOD_ANY_KIND) != 0, &err);
    if (*k == NULL) {
        call_fail(c, &err);
    }
    return *k != NULL;
}

/* Without a namespace, one object is in "default", and several are in all of them. */
static bool namespace_of(struct call *c, const struct kind *k, struct str *ns, bool all)
{
    if (!call_str(c, "namespace", ns, false)) {
        return false;
    }
    if (!api_kind_has_namespaces(c->m, k)) {
        *ns = STR_NONE;
    } else if (ns->n == 0 && !all) {
        *ns = STR("default");
    }
    return true;
}

static bool target_of(struct call *c, struct api_target *of)
{
    return kind_of(c, &of->kind) && namespace_of(c, of->kind, &of->ns, false) && call_str(c, "name", &of->name, true);
}

static bool selection_of(struct call *c, struct api_selection *of)
{
    return kind_of(c, &of->kind) && namespace_of(c, of->kind, &of->ns, true) &&
           call_str(c, "labelSelector", &of->labels, false) && call_str(c, "fieldSelector", &of->fields, false);
}

static bool write_of(struct call *c, struct api_write *how)
{
    struct mp id = call_param(c, "id");
    struct str bytes = STR_NONE;
    if (mp_type(id) != MP_NONE && mp_type(id) != MP_NIL && (!mp_read_bin(&id, &bytes) || bytes.n != TXN_ID_SIZE)) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"id\" must be %d bytes", STR_ARG(c->method), TXN_ID_SIZE);
        return false;
    }
    *how = (struct api_write){
        .id = bytes.n == 0 ? NULL : (const uint8_t *)bytes.p,
        .dry_run = mp_bool(call_param(c, "dryRun"), false),
        .lenient = str_is(mp_str(call_param(c, "validate")), "ignore"),
    };
    return true;
}

static bool document_of(struct call *c, const char *key, struct value **doc)
{
    struct mp m = call_param(c, key);
    struct error err = {0};
    if (mp_type(m) == MP_NONE) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"%s\" is missing", STR_ARG(c->method), key);
        return false;
    }
    if (msgpack_read_value(&c->arena, m.p, (size_t)(m.end - m.p), doc, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    return true;
}

static bool part_of(struct call *c, const struct api_part **part)
{
    struct str name;
    if (!call_str(c, "part", &name, false)) {
        return false;
    }
    *part = api_part_named(name);
    if (*part == NULL) {
        call_failf(c, ERR_USAGE,
                   "%.*s: unknown part \"%.*s\"; known are \"\", \"status\", \"scale\", \"ephemeralcontainers\"",
                   STR_ARG(c->method), STR_ARG(name));
    }
    return *part != NULL;
}

static bool deletion_of(struct call *c, struct deletion_options *o)
{
    struct str policy, uid;
    if (!call_str(c, "propagationPolicy", &policy, false) || !call_str(c, "uid", &uid, false)) {
        return false;
    }
    int p = deletion_policy_parse(policy);
    if (p < 0) {
        call_failf(c, ERR_USAGE, "delete: unknown propagationPolicy \"%.*s\"; known are Background, Foreground, Orphan",
                   STR_ARG(policy));
        return false;
    }
    *o = (struct deletion_options){
        .grace_s = mp_int(call_param(c, "gracePeriodSeconds"), -1),
        .policy = (enum deletion_policy)p,
        .if_uid = uid,
        .if_revision = (uint64_t)mp_int(call_param(c, "revision"), 0),
    };
    if (o->grace_s < -1) {
        call_failf(c, ERR_USAGE, "delete: gracePeriodSeconds must not be negative");
        return false;
    }
    return true;
}

/* ---- Reads ---- */

static void get_read(struct call *c)
{
    struct api_target of;
    if (target_of(c, &of)) {
        verb_get(&c->api, &of);
    }
}

static void method_get(struct call *c)
{
    call_read(c, get_read);
}

const struct method request_get = {"get", method_get, METHOD_NODE | METHOD_ANY_KIND, "kind namespace name stale"};

static void list_read(struct call *c)
{
    struct api_list q;
    if (selection_of(c, &q.of) && call_str(c, "continue", &q.token, false)) {
        q.limit = mp_int(call_param(c, "limit"), API_LIST_LIMIT_DEFAULT);
        verb_list(&c->api, &q);
    }
}

static void method_list(struct call *c)
{
    call_read(c, list_read);
}

const struct method request_list = {"list", method_list, METHOD_ANY_KIND,
                                    "kind namespace labelSelector fieldSelector limit continue stale"};

static void watch_read(struct call *c)
{
    struct api_watch q = {.revision = mp_int(call_param(c, "revision"), -1)};
    if (selection_of(c, &q.of)) {
        verb_watch(&c->api, &q);
    }
}

static void method_watch(struct call *c)
{
    struct mp revision = call_param(c, "revision");
    enum mp_type type = mp_type(revision);
    if (type != MP_NONE && type != MP_NIL && mp_int(revision, -1) < 0) {
        call_failf(c, ERR_USAGE, "watch: revision must be a number, that of a list or an event; or absent");
        return;
    }
    if (mp_int(revision, -1) >= 0) {
        watch_read(c); /* what is not yet here will come in order */
    } else {
        call_read(c, watch_read);
    }
}

const struct method request_watch = {"watch", method_watch, METHOD_ANY_KIND,
                                     "kind namespace labelSelector fieldSelector revision"};

/* ---- Writes ---- */

static void method_create(struct call *c)
{
    struct api_create q;
    if (document_of(c, "object", &q.object) && write_of(c, &q.how)) {
        verb_create(&c->api, &q);
    }
}

const struct method request_create = {"create", method_create, METHOD_WRITE, "object validate id dryRun"};

static void method_update(struct call *c)
{
    struct api_update q;
    if (document_of(c, "object", &q.object) && part_of(c, &q.part) && write_of(c, &q.how)) {
        verb_update(&c->api, &q);
    }
}

const struct method request_update = {"update", method_update, METHOD_WRITE, "object part validate id dryRun"};

static void method_patch(struct call *c)
{
    struct api_patch q;
    struct str type;
    if (!target_of(c, &q.of) || !call_str(c, "type", &type, true) || !part_of(c, &q.part)) {
        return;
    }
    int t = patch_type_parse(type);
    if (t < 0) {
        call_failf(c, ERR_USAGE, "patch: unknown type \"%.*s\"; known are strategic, merge, json", STR_ARG(type));
        return;
    }
    q.type = (enum patch_type)t;
    q.if_revision = (uint64_t)mp_int(call_param(c, "revision"), 0);
    if (document_of(c, "patch", &q.patch) && write_of(c, &q.how)) {
        verb_patch(&c->api, &q);
    }
}

const struct method request_patch = {"patch", method_patch, METHOD_WRITE,
                                     "kind namespace name type patch part revision validate id dryRun"};

/* Is it a list that is worth being read? What is wrong with its length the verb says. */
static bool list_fits(struct call *c, const char *key, const char *what)
{
    struct mp m = call_param(c, key);
    if (mp_type(m) != MP_ARRAY || mp_count(m) == 0 || mp_count(m) > MASTER_USER_OBJECTS_MAX) {
        call_failf(c, ERR_USAGE, "%.*s: %s must be a list of 1 to %u %s", STR_ARG(c->method), key,
                   MASTER_USER_OBJECTS_MAX, what);
        return false;
    }
    return true;
}

static void method_apply(struct call *c)
{
    struct api_apply q = {.server_side = mp_bool(call_param(c, "serverSide"), false)};
    if (list_fits(c, "objects", "objects") && document_of(c, "objects", &q.objects) && write_of(c, &q.how)) {
        verb_apply(&c->api, &q);
    }
}

const struct method request_apply = {"apply", method_apply, METHOD_WRITE, "objects validate serverSide id dryRun"};

static void method_delete(struct call *c)
{
    struct api_delete q;
    if (target_of(c, &q.of) && deletion_of(c, &q.options) && write_of(c, &q.how)) {
        verb_delete(&c->api, &q);
    }
}

const struct method request_delete = {
    "delete", method_delete, METHOD_WRITE | METHOD_ANY_KIND,
    "kind namespace name gracePeriodSeconds propagationPolicy uid revision id dryRun"};

static void method_deletecollection(struct call *c)
{
    struct api_deletecollection q;
    if (selection_of(c, &q.of) && deletion_of(c, &q.options) && write_of(c, &q.how)) {
        verb_deletecollection(&c->api, &q);
    }
}

const struct method request_deletecollection = {
    "deletecollection", method_deletecollection, METHOD_WRITE | METHOD_ANY_KIND,
    "kind namespace labelSelector fieldSelector gracePeriodSeconds propagationPolicy id dryRun"};

/* Members of an operation; unknown ones are refused, as in all parameters. */
static int check_op(struct mp op, struct error *err)
{
    static const char *const known[] = {"op",   "object",   "kind", "namespace", "name",
                                        "part", "revision", "uid",  "absent"};
    if (mp_type(op) != MP_MAP) {
        return error_set(err, ERR_USAGE, "txn: an operation must be a map");
    }
    for (struct mp_iter it = mp_iter(op); mp_next(&it);) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
            found |= str_is(it.key, known[i]);
        }
        if (!found) {
            return error_set(err, ERR_USAGE,
                             "txn: unknown member \"%.*s\" of an operation; known are: op object kind namespace name "
                             "part revision uid absent",
                             STR_ARG(it.key));
        }
    }
    return 0;
}

static int op_type(struct str what, enum api_op_type *type, struct error *err)
{
    static const char *const words[] = {"create", "update", "delete", "check"}; /* by type */
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_is(what, words[i])) {
            *type = (enum api_op_type)i;
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, "txn: unknown op \"%.*s\"; known are create, update, delete, check",
                     STR_ARG(what));
}

static int read_op(struct arena *a, struct mp m, struct api_op *op, struct error *err)
{
    struct str what = mp_str(mp_get(m, "op"));
    *op = (struct api_op){
        .part = str_is(mp_str(mp_get(m, "part")), "status") ? TXN_PART_STATUS : TXN_PART_SPEC,
        .if_revision = (uint64_t)mp_int(mp_get(m, "revision"), 0),
        .if_uid = mp_str(mp_get(m, "uid")),
        .absent = mp_bool(mp_get(m, "absent"), false),
    };
    int rv = check_op(m, err);
    rv = rv != 0 ? rv : op_type(what, &op->type, err);
    if (rv != 0) {
        return rv;
    }
    if (op->type == API_OP_CREATE || op->type == API_OP_UPDATE) {
        struct mp body = mp_get(m, "object");
        if (mp_type(body) != MP_MAP) {
            return error_set(err, ERR_USAGE, "txn: op %.*s needs an object", STR_ARG(what));
        }
        return msgpack_read_value(a, body.p, (size_t)(body.end - body.p), &op->object, err);
    }
    op->of.kind = kind_by_name(mp_str(mp_get(m, "kind")));
    op->of.name = mp_str(mp_get(m, "name"));
    if (op->of.kind == NULL || op->of.name.n == 0) {
        return error_set(err, ERR_USAGE, "txn: op %.*s needs kind and name", STR_ARG(what));
    }
    op->of.ns = op->of.kind->namespaced ? mp_str(mp_get(m, "namespace")) : STR_NONE;
    if (op->of.kind->namespaced && op->of.ns.n == 0) {
        op->of.ns = STR("default");
    }
    return 0;
}

static void method_txn(struct call *c)
{
    struct api_txn q = {0};
    if (!list_fits(c, "ops", "operations") || !write_of(c, &q.how)) {
        return;
    }
    struct mp list = call_param(c, "ops");
    struct api_op *ops = arena_alloc(&c->arena, mp_count(list) * sizeof *ops);
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct error err = {0};
        if (read_op(&c->arena, it.value, &ops[q.count++], &err) != 0) {
            call_fail(c, &err);
            return;
        }
    }
    q.ops = ops;
    verb_txn(&c->api, &q);
}

const struct method request_txn = {"txn", method_txn, METHOD_WRITE, "ops id dryRun"};

/* ---- Answers ---- */

static struct call *call_of(struct api_call *c)
{
    return CONTAINER_OF(c, struct call, api);
}

static void write_object(struct buf *b, const struct object *o)
{
    mp_write_cstr(b, "object");
    if (o == NULL) {
        mp_write_nil(b);
    } else {
        object_write_wire(b, o);
    }
}

static const char *done_word(enum api_done done)
{
    return done == API_DONE_CREATED ? "created" : done == API_DONE_UNCHANGED ? "unchanged" : "configured";
}

static void write_results(struct buf *b, const struct api_answer *a)
{
    mp_write_cstr(b, "results");
    mp_write_array(b, a->count);
    for (unsigned i = 0; i < a->count; i++) {
        mp_write_map(b, a->verb == API_APPLY ? 3 : 2);
        if (a->verb == API_APPLY) {
            mp_write_key_str(b, "result", str_of(done_word(a->items[i].done)));
        }
        write_object(b, a->items[i].object);
        mp_write_key_bool(b, "gone", a->items[i].gone);
    }
}

static void answer(struct api_call *c, const struct api_answer *a)
{
    struct buf b = BUF_INIT;
    unsigned more = a->warnings == NULL ? 0 : 1;
    switch (a->verb) {
    case API_GET:
        mp_write_map(&b, 2 + more);
        write_object(&b, a->items[0].object);
        break;
    case API_CREATE:
    case API_UPDATE:
    case API_PATCH:
        mp_write_map(&b, 4 + more);
        write_object(&b, a->items[0].object);
        mp_write_key_bool(&b, "unchanged", a->unchanged);
        mp_write_key_bool(&b, "gone", a->items[0].gone);
        break;
    case API_DELETE:
        mp_write_map(&b, 3 + more);
        write_object(&b, a->items[0].object);
        mp_write_key_bool(&b, "gone", a->items[0].gone);
        break;
    case API_DELETECOLLECTION:
        mp_write_map(&b, 2 + more);
        mp_write_key_int(&b, "count", a->count);
        break;
    case API_APPLY:
    case API_TXN:
        mp_write_map(&b, 2 + more);
        write_results(&b, a);
        break;
    }
    if (more > 0) {
        mp_write_cstr(&b, "warnings");
        msgpack_write_value(&b, a->warnings);
    }
    mp_write_key_int(&b, "revision", (int64_t)a->revision);
    call_reply(call_of(c), &b);
    buf_close(&b);
}

static void fail(struct api_call *c, const struct error *err)
{
    call_fail(call_of(c), err);
}

/* ---- Lists ---- */

static size_t item(struct api_call *api, const struct object *o)
{
    struct call *c = call_of(api);
    object_write_wire(&c->page, o);
    c->page_items++;
    return c->page.size;
}

static void listed(struct api_call *api, const struct api_listed *l)
{
    struct call *c = call_of(api);
    struct buf b = BUF_INIT;
    bool counted = l->more && l->remaining >= 0;
    mp_write_map(&b, 2u + l->more + counted);
    mp_write_key_int(&b, "revision", (int64_t)l->revision);
    if (l->more) {
        mp_write_key_str(&b, "continue", l->token);
    }
    if (counted) {
        mp_write_key_int(&b, "remaining", l->remaining);
    }
    mp_write_cstr(&b, "items");
    mp_write_array(&b, c->page_items);
    buf_append(&b, c->page.data, c->page.size);
    call_reply(c, &b);
    buf_close(&b);
}

static void go_on(struct api_call *api)
{
    struct call *c = call_of(api);
    struct lane *lane = call_lane(c);
    assert(lane != NULL); /* nothing closes connections in a turn */
    turns_go_on(c->m->turns, lane, &c->work);
}

static void wake(struct api_call *api)
{
    call_take_turn(call_of(api));
}

/* ---- Streams of events ---- */

struct event_stream {
    struct api_stream api;
    struct rpc_stream *rpc;
    struct watch *watch;
    struct buf events; /* of the batch */
    uint32_t count;
};

static struct event_stream *stream_of(struct api_stream *s)
{
    return CONTAINER_OF(s, struct event_stream, api);
}

/* Of an object that is gone: which one it was. */
static void write_identity(struct buf *b, const struct object *o, uint64_t revision)
{
    char version[24];
    snprintf(version, sizeof version, "%llu", (unsigned long long)revision);
    mp_write_map(b, 3);
    mp_write_key_str(b, "apiVersion", mp_str(mp_get(object_mp(o), "apiVersion")));
    mp_write_key_str(b, "kind", object_kind_name(o));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 3u + o->kind->namespaced);
    mp_write_key_str(b, "resourceVersion", str_of(version));
    mp_write_key_str(b, "name", o->name);
    if (o->kind->namespaced) {
        mp_write_key_str(b, "namespace", o->ns);
    }
    mp_write_key_str(b, "uid", o->uid);
}

/* What all that watch share. What is gone bears the revision at which it went: whoever remembers that goes on behind
 * it. */
static const struct buf *wire_of(const struct api_event *e)
{
    struct buf *wire = store_history_wire(e->txn, e->change);
    if (wire->size == 0) {
        bool gone = e->object->revision != e->revision;
        CLEANUP_OBJECT struct object *marked = gone ? object_with_revision(e->object, e->revision) : NULL;
        object_write_wire(wire, gone ? marked : e->object);
    }
    return wire;
}

static size_t event(struct api_stream *api, const struct api_event *e)
{
    static const char *const words[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"}; /* by type */
    struct event_stream *s = stream_of(api);
    struct buf *b = &s->events;
    s->count++;
    mp_write_map(b, e->type == API_BOOKMARK ? 1 : 2);
    mp_write_key_str(b, "type", str_of(words[e->type]));
    if (e->type == API_BOOKMARK) {
        return b->size;
    }
    mp_write_cstr(b, "object");
    if (e->brief) {
        write_identity(b, e->object, e->revision);
    } else if (e->txn == NULL) {
        object_write_wire(b, e->object);
    } else {
        const struct buf *wire = wire_of(e);
        buf_append(b, wire->data, wire->size);
    }
    return b->size;
}

/* Idle streams hold no memory. */
static void drop(struct api_stream *api)
{
    struct event_stream *s = stream_of(api);
    buf_close(&s->events);
    s->count = 0;
}

static int send_batch(struct api_stream *api, uint64_t revision)
{
    struct event_stream *s = stream_of(api);
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "revision", (int64_t)revision);
    mp_write_cstr(&b, "events");
    mp_write_array(&b, s->count);
    buf_append(&b, s->events.data, s->events.size);
    int rv = rpc_stream_write(s->rpc, buf_str(&b));
    buf_close(&b);
    drop(api);
    return rv;
}

static void end(struct api_stream *api, const struct error *err)
{
    rpc_stream_end(stream_of(api)->rpc, err);
}

static const struct api_stream_front stream_front = {
    .batch_max = RPC_MESSAGE_MAX - 65536u, /* a transaction is told in one message */
    .event = event,
    .drop = drop,
    .send = send_batch,
    .end = end,
};

static void on_data(struct rpc_stream *st, struct mp payload, size_t payload_bytes, void *data)
{
    (void)payload;
    (void)data;
    rpc_stream_consumed(st, payload_bytes); /* a watcher has nothing to say; what it sends is dropped */
}

static void on_writable(struct rpc_stream *st, void *data)
{
    (void)st;
    watch_writable(((struct event_stream *)data)->watch);
}

static void on_end(struct rpc_stream *st, const struct error *err, void *data)
{
    (void)st;
    (void)err;
    struct event_stream *s = data;
    watch_over(s->watch);
    buf_close(&s->events);
    free(s);
}

static const struct rpc_stream_events stream_events = {
    .on_data = on_data, .on_writable = on_writable, .on_end = on_end};

static struct api_stream *open_stream(struct api_call *api, struct watch *w)
{
    struct event_stream *s = xcalloc(1, sizeof *s);
    s->api.front = &stream_front;
    s->watch = w;
    s->rpc = rpc_stream_accept(call_take_request(call_of(api)), &stream_events, s);
    if (s->rpc == NULL) {
        free(s);
        return NULL;
    }
    return &s->api;
}

static struct lane *lane_of(const struct api_call *api)
{
    const struct call *c = CONTAINER_OF(api, const struct call, api);
    struct session *s = call_session(c);
    return s == NULL ? NULL : &s->lane;
}

const struct api_front rpc_front = {
    .answer = answer,
    .fail = fail,
    .item = item,
    .listed = listed,
    .go_on = go_on,
    .wake = wake,
    .lane = lane_of,
    .open = open_stream,
};
