#include "master/nodes/serving.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "master/nodes/ages.h"

struct served {
    struct aged aged;
    struct object *object; /* the last that there was, also when it is gone */
};
struct serving {
    struct ages ages;   /* by "kind/ns/name"; the first change is number 2 */
    uint64_t revision;  /* of the newest change */
    struct buf message; /* the last one */
    struct {
        uint64_t since, version; /* where it begins, and the newest change when it was written; 0: none is */
        uint64_t until;
        bool whole;
    } written;
};

static const enum kind_id KINDS[] = {KIND_SERVICE, KIND_ENDPOINTSLICE};

static struct served *served_of(struct aged *e)
{
    return CONTAINER_OF(e, struct served, aged);
}

static void served_free(struct aged *e)
{
    object_unref(served_of(e)->object);
    free(served_of(e));
}

struct serving *serving_new(void)
{
    struct serving *s = xcalloc(1, sizeof *s);
    ages_init(&s->ages, SERVING_GONE_MAX, served_free);
    s->ages.version = 1; /* also of a cluster without services something can be told */
    return s;
}

void serving_free(struct serving *s)
{
    if (s == NULL) {
        return;
    }
    ages_close(&s->ages);
    buf_close(&s->message);
    free(s);
}

bool serving_is_of(const struct object *o)
{
    return o->kind->id == KIND_SERVICE || o->kind->id == KIND_ENDPOINTSLICE;
}

/* ---- Changes ---- */

#define KEY_SIZE (NAMESPACE_KEY_MAX + NAME_KEY_MAX + 16)

static struct str key_of(const struct object *o, char out[KEY_SIZE])
{
    int n = snprintf(out, KEY_SIZE, "%d/%.*s/%.*s", o->kind->id, STR_ARG(o->ns), STR_ARG(o->name));
    return (struct str){out, (size_t)MIN(n, (int)KEY_SIZE - 1)};
}

static void put(struct serving *s, const struct object *o)
{
    char text[KEY_SIZE];
    struct str key = key_of(o, text);
    struct aged *e = ages_get(&s->ages, key);
    if (e == NULL) {
        e = &((struct served *)xcalloc(1, sizeof(struct served)))->aged;
        ages_add(&s->ages, e, key);
    }
    struct object *former = served_of(e)->object;
    e->seen = true;
    if (former != NULL && !e->gone && former->revision == o->revision && str_eq(former->uid, o->uid)) {
        return;
    }
    served_of(e)->object = object_ref(o);
    object_unref(former);
    ages_touch(&s->ages, e);
}

void serving_change(struct serving *s, const struct object *old, const struct object *new)
{
    char key[KEY_SIZE];
    if (new != NULL) {
        put(s, new);
    } else {
        ages_remove(&s->ages, ages_get(&s->ages, key_of(old, key)));
    }
}

void serving_sync(struct serving *s, const struct view *v)
{
    ages_sync_begin(&s->ages);
    for (unsigned i = 0; i < ARRAY_SIZE(KINDS); i++) {
        struct view_iter it;
        view_iter(&it, v, kind_by_id(KINDS[i]), STR_NONE);
        VIEW_FOR(o, &it)
        {
            put(s, o);
        }
    }
    ages_sync_end(&s->ages);
    s->revision = view_revision(v);
    s->written.version = 0; /* it says another one */
}

void serving_is_at(struct serving *s, uint64_t revision)
{
    s->revision = revision;
}

/* ---- Telling ---- */

bool serving_is_behind(const struct serving *s, const struct serving_place *p)
{
    return p->sent < s->ages.version;
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
    struct list *it = ages_behind(&s->ages, since);
    for (; it != &s->ages.by_age && changed.size + gone.size < SERVING_MESSAGE_BYTES; it = it->next) {
        const struct aged *e = LIST_ENTRY(it, struct aged, link);
        const struct object *o = CONTAINER_OF(e, struct served, aged)->object;
        until = e->version;
        if (!e->gone) {
            object_write_wire(&changed, o);
            changed_count++;
        } else if (since > 0) { /* who is told the whole knows of none */
            write_gone(&gone, o);
            gone_count++;
        }
    }
    bool complete = it == &s->ages.by_age;
    struct buf *b = &s->message;
    buf_reset(b);
    mp_write_map(b, complete ? 5 : 4);
    mp_write_key_bool(b, "whole", whole);
    mp_write_cstr(b, "changed");
    mp_write_array(b, changed_count);
    buf_append(b, changed.data, changed.size);
    mp_write_cstr(b, "gone");
    mp_write_array(b, gone_count);
    buf_append(b, gone.data, gone.size);
    mp_write_key_bool(b, "complete", complete);
    if (complete) {
        mp_write_key_int(b, "revision", (int64_t)s->revision);
    }
    return complete ? s->ages.version : until;
}

struct str serving_message(struct serving *s, const struct serving_place *p, struct serving_place *next)
{
    assert(serving_is_behind(s, p));
    bool whole = p->sent == 0 || s->ages.forgotten > MAX(p->sent, p->began);
    uint64_t since = whole ? 0 : p->sent;
    if (s->written.version != s->ages.version || s->written.since != since || s->written.whole != whole) {
        s->written.until = write_message(s, since, whole);
        s->written.version = s->ages.version;
        s->written.since = since;
        s->written.whole = whole;
    }
    *next = (struct serving_place){.began = whole ? s->ages.version : p->began, .sent = s->written.until};
    return buf_str(&s->message);
}
