/* What verbs answer, over HTTP: an object in the form that was asked for, a Status, a list that leaves piece by
 * piece. */
#include <assert.h>
#include <string.h>

#include "master/rest/call.h"
#include "master/rest/gzip.h"
#include "proto/text/text.h"

/* ---- One object ---- */

static uint64_t version_of(const struct object *o)
{
    return o->revision;
}

static void put_pair(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, "\"%s\":", key);
    json_write_text(out, value);
}

/* Kubernetes' Scale of an object with replicas: status.selector as text. */
static void write_scale(struct rest_call *c, struct buf *out, const struct object *o)
{
    struct mp metadata = mp_get(object_mp(o), "metadata"), spec = object_spec(o), status = object_status(o);
    struct mp selector = mp_get(spec, "selector");
    struct selector *parsed = NULL;
    bool terms =
        mp_type(mp_get(selector, "matchLabels")) == MP_MAP || mp_type(mp_get(selector, "matchExpressions")) == MP_ARRAY;
    buf_printf(out, "{\"kind\":\"Scale\",\"apiVersion\":\"autoscaling/v1\",\"metadata\":{\"resourceVersion\":\"%llu\",",
               (unsigned long long)o->revision);
    put_pair(out, "name", o->name);
    buf_putc(out, ',');
    put_pair(out, "namespace", o->ns);
    buf_putc(out, ',');
    put_pair(out, "uid", o->uid);
    buf_putc(out, ',');
    put_pair(out, "creationTimestamp", mp_str(mp_get(metadata, "creationTimestamp")));
    buf_printf(out, "},\"spec\":{\"replicas\":%lld},\"status\":{\"replicas\":%lld",
               (long long)mp_int(mp_get(spec, "replicas"), 1), (long long)mp_int(mp_get(status, "replicas"), 0));
    CLEANUP_BUF struct buf text = BUF_INIT;
    if (terms && selector_from_mp(c->e.api.arena, selector, &parsed, NULL) == 0 && !selector_empty(parsed)) {
        selector_write(&text, parsed);
    } else if (!terms) { /* of a ReplicationController: a plain map */
        for (struct mp_iter it = mp_iter(selector); mp_next(&it);) {
            struct str value = mp_str(it.value);
            buf_printf(&text, "%s%.*s=%.*s", text.size > 0 ? "," : "", STR_ARG(it.key), STR_ARG(value));
        }
    }
    if (text.size > 0) {
        buf_putc(out, ',');
        put_pair(out, "selector", buf_str(&text));
    }
    buf_puts(out, "}}");
}

/* Protobuf is written as such, YAML is made of JSON (rest_answer). */
static void answer_whole(struct rest_call *c, unsigned status, const struct object *o)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    rest_write_single(&body, &c->view, o, version_of(o), true);
    rest_answer(c, status, c->view.form.coding == REST_PROTOBUF ? rest_type_of(c) : NULL, &body);
}

static void answer_object(struct rest_call *c, unsigned status, const struct object *o)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    if (str_is(c->path.part, "scale")) {
        write_scale(c, &body, o);
        rest_answer(c, status, NULL, &body);
    } else {
        answer_whole(c, status, o);
    }
}

/* ---- Deletions ---- */

/* Kinds whose deletion is answered with the object whatever became of it. Source: ReturnDeletedObject in Kubernetes'
 * registries. */
static bool tells_object(const struct kind *k)
{
    static const enum kind_id kinds[] = {
        KIND_NAMESPACE,     KIND_POD,          KIND_SERVICE,     KIND_PERSISTENTVOLUME, KIND_PERSISTENTVOLUMECLAIM,
        KIND_RESOURCEQUOTA, KIND_STORAGECLASS, KIND_PODTEMPLATE,
    };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (k->id == kinds[i]) {
            return true;
        }
    }
    return str_is(str_of(k->name), "ServiceAccount");
}

static void answer_success(struct rest_call *c, unsigned status, const struct object *o)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    const struct kind *k = c->path.kind;
    buf_puts(&body, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\"");
    if (k != NULL && c->path.name.n > 0 && c->path.part.n == 0) {
        buf_puts(&body, ",\"details\":{");
        put_pair(&body, "name", c->path.name);
        if (kind_group(k).n > 0) {
            buf_putc(&body, ',');
            put_pair(&body, "group", kind_group(k));
        }
        buf_putc(&body, ',');
        put_pair(&body, "kind", str_of(k->plural));
        if (o != NULL) {
            buf_putc(&body, ',');
            put_pair(&body, "uid", o->uid);
        }
        buf_putc(&body, '}');
    }
    if (status != 200) {
        buf_printf(&body, ",\"code\":%u", status);
    }
    buf_putc(&body, '}');
    rest_answer(c, status, NULL, &body);
}

static void answer_deleted(struct rest_call *c, const struct api_item *item)
{
    bool lives = !item->gone;
    unsigned status = lives && c->o.orphan_told ? 202 : 200; /* as old clients are told */
    if (item->object != NULL && (lives || tells_object(item->object->kind))) {
        answer_whole(c, status, item->object);
    } else {
        answer_success(c, status, item->object);
    }
}

/* The list of what there was when it began: it leaves as lists do, piece by piece. */
static void answer_cleared(struct rest_call *c)
{
    struct api_selection of = rest_selection(c, c->path.kind);
    api_list_cleared(&c->e.api, c->before, &of);
}

static void answer(struct api_call *api, const struct api_answer *a)
{
    struct rest_call *c = rest_call_of_api(api);
    const struct api_item *item = a->items;
    api->warnings = a->warnings == NULL ? NULL : value_copy(api->arena, a->warnings);
    if (a->verb == API_DELETECOLLECTION) {
        answer_cleared(c);
    } else if (a->verb == API_EVICT || a->verb == API_BIND) {
        answer_success(c, 201, NULL);
    } else if (a->verb == API_DELETE) {
        answer_deleted(c, item);
    } else if (item->object == NULL) { /* of a repetition: it was done, and has been deleted since */
        answer_success(c, 200, NULL);
    } else {
        bool created = a->verb == API_CREATE || item->done == API_DONE_CREATED;
        answer_object(c, created && a->verb != API_GET ? 201 : 200, item->object);
    }
}

/* ---- Documents ---- */

static void told(struct api_call *api, struct mp document)
{
    struct rest_call *c = rest_call_of_api(api);
    CLEANUP_BUF struct buf body = BUF_INIT;
    if (c->what == REST_DO_ACCOUNT_TOKEN || c->what == REST_DO_TOKEN_REVIEW) {
        rest_tell_token(c, document);
        return;
    }
    if (c->what == REST_DO_WHOAMI || c->what == REST_DO_REVIEW) {
        rest_write_review(c, &body, document);
        rest_answer(c, 201, NULL, &body);
        return;
    }
    if (c->path.name.n == 0) {
        json_write_mp(&body, &document);
        rest_answer(c, 200, NULL, &body);
        return;
    }
    struct mp_iter it = mp_iter(mp_get(document, "items"));
    if (!mp_next(&it)) {
        rest_answer_failure(c, 404, "%s.metrics.k8s.io \"%.*s\" not found: no sample of it is known",
                            c->path.extra->plural, STR_ARG(c->path.name));
        return;
    }
    json_write_mp(&body, &it.value);
    rest_answer(c, 200, NULL, &body);
}

/* ---- Lists ---- */

#define PIECE_MORE (16u << 10) /* the last object of it */

/* Of a list in protobuf, which is walked once to know how large it is: what is small is kept, and is the answer. */
static size_t count_item(struct rest_call *c, const struct object *o)
{
    size_t before = c->out.size;
    rest_write_item(&c->out, &c->view, o, false);
    size_t n = c->out.size - before;
    c->items_bytes += n;
    c->piece_bytes += n;
    if (c->items_bytes > REST_GZIP_MIN) {
        buf_reset(&c->out);
    }
    return c->piece_bytes;
}

/* The bytes of this piece. */
static size_t item(struct api_call *api, const struct object *o)
{
    struct rest_call *c = rest_call_of_api(api);
    bool first = !c->rows;
    if (c->view.form.coding == REST_PROTOBUF && !c->sized) {
        return count_item(c, o);
    }
    if (first) {
        rest_write_list_head(&c->out, &c->view, c->path.kind);
        c->rows = true;
    } else if (c->begun && c->out.cap == 0) {
        rest_open_piece(c, TURNS_PIECE_BYTES + PIECE_MORE); /* a whole piece: it does not grow step by step */
    }
    size_t before = c->out.size;
    rest_write_item(&c->out, &c->view, o, first);
    c->written_bytes += c->out.size - before;
    c->piece_bytes += c->out.size - before;
    return c->piece_bytes;
}

static struct rest_list_end end_of(const struct api_listed *l)
{
    return (struct rest_list_end){l->revision, l->more ? l->token : STR_NONE, l->remaining};
}

/* The items of a list in protobuf have been counted: now its beginning is known. */
static bool again(struct api_call *api, const struct api_listed *l)
{
    struct rest_call *c = rest_call_of_api(api);
    struct rest_list_end end = end_of(l);
    CLEANUP_BUF struct buf items = c->out;
    if (c->view.form.coding != REST_PROTOBUF || c->sized) {
        items = BUF_INIT;
        return false;
    }
    c->out = BUF_INIT;
    c->sized = true;
    rest_write_list_sized(&c->out, &c->view, c->path.kind, &end, c->items_bytes);
    if (c->items_bytes > REST_GZIP_MIN) {
        return true;
    }
    buf_append_str(&c->out, buf_str(&items));
    c->written_bytes = c->items_bytes;
    return false;
}

static void listed(struct api_call *api, const struct api_listed *l)
{
    struct rest_call *c = rest_call_of_api(api);
    struct rest_list_end end = end_of(l);
    if (!c->rows) {
        rest_write_list_head(&c->out, &c->view, c->path.kind);
    }
    if (c->sized && c->written_bytes != c->items_bytes) {
        errand_failf(&c->e, ERR_INTERNAL, "a list had %zu bytes, and then %zu", c->items_bytes, c->written_bytes);
        return;
    }
    rest_write_list_end(&c->out, &c->view, &end, !c->rows);
    if (c->begun) {
        rest_end(c);
        return;
    }
    struct buf body = c->out;
    c->out = BUF_INIT;
    rest_answer(c, 200, rest_type_of(c), &body);
    buf_close(&body);
}

/* A piece is done. What it wrote leaves, as soon as it is enough to be worth a piece of the answer; the next one waits
 * while the peer does not read. */
static void go_on(struct api_call *api)
{
    struct rest_call *c = rest_call_of_api(api);
    bool counts = c->view.form.coding == REST_PROTOBUF && !c->sized;
    c->piece_bytes = 0;
    if (!counts && (c->out.size >= REST_GZIP_MIN || (c->begun && c->out.size > 0))) {
        if (!c->begun) {
            rest_begin(c, 200, rest_type_of(c));
        }
        rest_flush(c);
        if (rest_conn_is_full(c->conn)) {
            c->waits = true;
            return;
        }
    }
    errand_api_go_on(api);
}

const struct api_front rest_api_front = {
    .answer = answer,
    .told = told,
    .fail = errand_api_fail,
    .item = item,
    .pieces_leave = true,
    .listed = listed,
    .again = again,
    .go_on = go_on,
    .wake = errand_api_wake,
    .lane = errand_api_lane,
    .open = rest_watch_open,
};
