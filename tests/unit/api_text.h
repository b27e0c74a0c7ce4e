/* The answers of a front that writes lines of text: what tests of fronts share. */
#ifndef TESTS_UNIT_API_TEXT_H
#define TESTS_UNIT_API_TEXT_H

#include "tests/unit/raft-store_cluster.h"

#include "master/api/api.h"

/* What a request was answered so far. */
struct told {
    struct buf text;
    bool over;
    struct error error; /* code 0: none */
    char token[256];    /* of the next page; "": none */
    int64_t remaining;  /* behind this page */
    struct api_stream stream;
    struct watch *watch;
    struct buf batch;
    const bool *deaf; /* streams take nothing at present */
};
static struct told *told_of(const struct api_call *c); /* the test's */

static inline void write_object(struct buf *b, const struct object *o)
{
    buf_printf(b, "%s/%.*s", o->kind->name, STR_ARG(o->name));
}

static inline void text_answer(struct api_call *c, const struct api_answer *a)
{
    static const char *const done[] = {"unchanged", "created", "configured", "deleted"};
    struct told *q = told_of(c);
    assert_false(q->over);
    q->over = true;
    if (a->verb == API_DELETECOLLECTION) {
        buf_printf(&q->text, "%u objects\n", a->count);
        return;
    }
    for (unsigned i = 0; i < a->count; i++) {
        if (a->verb != API_GET) {
            buf_printf(&q->text, "%s ", done[a->items[i].done]);
        }
        if (a->items[i].object != NULL) {
            write_object(&q->text, a->items[i].object);
        }
        buf_printf(&q->text, "%s\n", a->items[i].gone ? " is gone" : "");
    }
}

/* As JSON. */
static inline void text_told(struct api_call *c, struct mp document)
{
    struct told *q = told_of(c);
    struct value *v = NULL;
    struct error err = {0};
    assert_false(q->over);
    q->over = true;
    must(msgpack_read_value(c->arena, document.p, (size_t)(document.end - document.p), &v, &err), &err);
    json_write_canonical(&q->text, v);
}

static inline size_t text_item(struct api_call *c, const struct object *o)
{
    struct told *q = told_of(c);
    write_object(&q->text, o);
    buf_puts(&q->text, "\n");
    return q->text.size;
}

static inline void text_listed(struct api_call *c, const struct api_listed *l)
{
    struct told *q = told_of(c);
    assert_false(q->over);
    q->over = true;
    assert_int_equal(l->more, l->token.n > 0);
    assert_true(l->token.n < sizeof q->token);
    q->remaining = l->remaining;
    snprintf(q->token, sizeof q->token, "%.*s", STR_ARG(l->token));
}

static inline size_t text_event(struct api_stream *s, const struct api_event *e)
{
    static const char *const words[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
    struct told *q = CONTAINER_OF(s, struct told, stream);
    buf_printf(&q->batch, "%s ", words[e->type]);
    if (e->object != NULL) {
        write_object(&q->batch, e->object);
    }
    buf_puts(&q->batch, ";");
    return q->batch.size;
}

static inline void text_drop(struct api_stream *s)
{
    buf_reset(&CONTAINER_OF(s, struct told, stream)->batch);
}

static inline int text_send(struct api_stream *s, uint64_t revision)
{
    struct told *q = CONTAINER_OF(s, struct told, stream);
    (void)revision;
    if (!*q->deaf) {
        buf_printf(&q->text, "%.*s\n", (int)q->batch.size, (const char *)q->batch.data);
    }
    buf_reset(&q->batch);
    return *q->deaf ? ERR_BUSY : 0;
}

static inline void text_end(struct api_stream *s, const struct error *err)
{
    struct told *q = CONTAINER_OF(s, struct told, stream);
    assert_false(q->over);
    q->over = true;
    if (err != NULL) {
        q->error = *err;
    }
}

static const struct api_stream_front text_stream = {
    .batch_max = 1000, .event = text_event, .drop = text_drop, .send = text_send, .end = text_end};

static inline struct api_stream *text_open(struct api_call *c, struct watch *w)
{
    struct told *q = told_of(c);
    q->watch = w;
    q->stream.front = &text_stream;
    return &q->stream;
}

#define CONFIG(name) "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name "\"}}"

static inline struct value *document(struct arena *a, const char *text)
{
    struct value *doc = NULL;
    struct error err = {0};
    must(json_read(a, str_of(text), &doc, &err), &err);
    return doc;
}

static inline struct api_target config(const char *name)
{
    return (struct api_target){kind_by_id(KIND_CONFIGMAP), STR("default"), str_of(name)};
}

static inline struct api_selection configs(void)
{
    return (struct api_selection){.kind = kind_by_id(KIND_CONFIGMAP), .ns = STR("default")};
}

#endif
