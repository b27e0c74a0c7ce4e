#include "master/nodes/serving.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/strmap.h"

struct served {
    struct list link;
    uint64_t version;      /* of its last change */
    struct object *object; /* the last that there was, also when it is gone */
    bool gone, seen;       /* seen: by the sync that runs */
};
struct serving {
    struct strmap by_key; /* "kind/ns/name" */
    struct list by_age;   /* the newest change last */
    uint64_t version;     /* of the newest change; 1 before the first */
    uint64_t forgotten;   /* who was told less than this may know what is gone and what we do not know any more */
    unsigned gone;
    struct buf message; /* the last one */
    struct {
        uint64_t since, version; /* where it begins, and the newest change when it was written; 0: none is */
        uint64_t until;
        bool whole;
    } written;
};

static const enum kind_id KINDS[] = {KIND_SERVICE, KIND_ENDPOINTSLICE};

struct serving *serving_new(void)
{
    struct serving *s = xcalloc(1, sizeof *s);
    strmap_init(&s->by_key);
    list_init(&s->by_age);
    s->version = 1; /* also of a cluster without services something can be told */
    return s;
}

#define KEY_SIZE (NAMESPACE_KEY_MAX + NAME_KEY_MAX + 16)

static struct str key_of(const struct object *o, char out[KEY_SIZE])
{
    int n = snprintf(out, KEY_SIZE, "%d/%.*s/%.*s", o->kind->id, STR_ARG(o->ns), STR_ARG(o->name));
    return (struct str){out, (size_t)MIN(n, (int)KEY_SIZE - 1)};
}

static void forget(struct serving *s, struct served *e)
{
    char key[KEY_SIZE];
    s->gone -= e->gone;
    list_remove(&e->link);
    strmap_remove(&s->by_key, key_of(e->object, key));
    object_unref(e->object);
    free(e);
}

void serving_free(struct serving *s)
{
    if (s == NULL) {
        return;
    }
    while (!list_empty(&s->by_age)) {
        forget(s, LIST_ENTRY(s->by_age.next, struct served, link));
    }
    strmap_close(&s->by_key);
    buf_close(&s->message);
    free(s);
}

bool serving_is_of(const struct object *o)
{
    return o->kind->id == KIND_SERVICE || o->kind->id == KIND_ENDPOINTSLICE;
}

/* ---- Changes ---- */

static void touch(struct serving *s, struct served *e)
{
    e->version = ++s->version;
    list_remove(&e->link);
    list_push_back(&s->by_age, &e->link);
}

static void put(struct serving *s, const struct object *o)
{
    char text[KEY_SIZE];
    struct str key = key_of(o, text);
    struct served *e = strmap_get(&s->by_key, key);
    if (e != NULL) {
        e->seen = true;
        if (!e->gone && e->object->revision == o->revision && str_eq(e->object->uid, o->uid)) {
            return;
        }
        object_unref(e->object);
        s->gone -= e->gone;
    } else {
        e = xcalloc(1, sizeof *e);
        list_init(&e->link);
        strmap_set(&s->by_key, key, e);
        e->seen = true;
    }
    e->object = object_ref(o);
    e->gone = false;
    touch(s, e);
}

static void take_away(struct serving *s, struct served *e)
{
    if (e == NULL || e->gone) {
        return;
    }
    e->gone = true;
    s->gone++;
    touch(s, e);
    for (struct list *it = s->by_age.next; s->gone > SERVING_GONE_MAX;) {
        struct served *old = LIST_ENTRY(it, struct served, link);
        it = it->next;
        if (old->gone) {
            s->forgotten = MAX(s->forgotten, old->version);
            forget(s, old);
        }
    }
}

void serving_change(struct serving *s, const struct object *old, const struct object *new)
{
    char key[KEY_SIZE];
    if (new != NULL) {
        put(s, new);
    } else {
        take_away(s, strmap_get(&s->by_key, key_of(old, key)));
    }
}

void serving_sync(struct serving *s, const struct view *v)
{
    LIST_FOR(it, &s->by_age)
    {
        LIST_ENTRY(it, struct served, link)->seen = false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(KINDS); i++) {
        struct view_iter it;
        view_iter(&it, v, kind_by_id(KINDS[i]), STR_NONE);
        VIEW_FOR(o, &it)
        {
            put(s, o);
        }
    }
    size_t unseen = 0;
    struct served **gone = xcalloc(s->by_key.count + 1, sizeof *gone);
    LIST_FOR(it, &s->by_age)
    {
        struct served *e = LIST_ENTRY(it, struct served, link);
        if (!e->seen && !e->gone) {
            gone[unseen++] = e;
        }
    }
    for (size_t i = 0; i < unseen; i++) {
        take_away(s, gone[i]); /* may forget some that were gone before it, and none behind it */
    }
    free(gone);
}

/* ---- Telling ---- */

bool serving_is_behind(const struct serving *s, const struct serving_place *p)
{
    return p->sent < s->version;
}

/* The first that has changed behind a number. Whoever follows closely finds it near the end. */
static struct list *first_behind(struct serving *s, uint64_t since)
{
    struct list *it = s->by_age.prev;
    if (since == 0) {
        return s->by_age.next;
    }
    while (it != &s->by_age && LIST_ENTRY(it, struct served, link)->version > since) {
        it = it->prev;
    }
    return it->next;
}

static void write_gone(struct buf *b, const struct object *o)
{
    mp_write_map(b, 3);
    mp_write_key_str(b, "kind", str_of(o->kind->name));
    mp_write_key_str(b, "namespace", o->ns);
    mp_write_key_str(b, "name", o->name);
}

static uint64_t write_message(struct serving *s, uint64_t since, bool whole)
{
    CLEANUP_BUF struct buf changed = BUF_INIT;
    CLEANUP_BUF struct buf gone = BUF_INIT;
    uint32_t changed_count = 0, gone_count = 0;
    uint64_t until = since;
    struct list *it = first_behind(s, since);
    for (; it != &s->by_age && changed.size + gone.size < SERVING_MESSAGE_BYTES; it = it->next) {
        const struct served *e = LIST_ENTRY(it, struct served, link);
        until = e->version;
        if (!e->gone) {
            object_write_wire(&changed, e->object);
            changed_count++;
        } else if (since > 0) { /* who is told the whole knows of none */
            write_gone(&gone, e->object);
            gone_count++;
        }
    }
    bool complete = it == &s->by_age;
    struct buf *b = &s->message;
    buf_reset(b);
    mp_write_map(b, 4);
    mp_write_key_bool(b, "whole", whole);
    mp_write_cstr(b, "changed");
    mp_write_array(b, changed_count);
    buf_append(b, changed.data, changed.size);
    mp_write_cstr(b, "gone");
    mp_write_array(b, gone_count);
    buf_append(b, gone.data, gone.size);
    mp_write_key_bool(b, "complete", complete);
    return complete ? s->version : until;
}

struct str serving_message(struct serving *s, const struct serving_place *p, struct serving_place *next)
{
    assert(serving_is_behind(s, p));
    bool whole = p->sent == 0 || s->forgotten > MAX(p->sent, p->began);
    uint64_t since = whole ? 0 : p->sent;
    if (s->written.version != s->version || s->written.since != since || s->written.whole != whole) {
        s->written.until = write_message(s, since, whole);
        s->written.version = s->version;
        s->written.since = since;
        s->written.whole = whole;
    }
    *next = (struct serving_place){.began = whole ? s->version : p->began, .sent = s->written.until};
    return buf_str(&s->message);
}
