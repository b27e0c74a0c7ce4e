#include "agent/pod/refs.h"

#include <assert.h>
#include <stdlib.h>

struct ref {
    struct object *object;
    bool seen; /* in the list that is coming in */
};
struct refs {
    struct ref *items; /* sorted by kind, namespace, name */
    unsigned count, cap;
    bool synced, listing;
};

struct refs *refs_new(void)
{
    return xcalloc(1, sizeof(struct refs));
}

void refs_free(struct refs *r)
{
    if (r == NULL) {
        return;
    }
    for (unsigned i = 0; i < r->count; i++) {
        object_unref(r->items[i].object);
    }
    free(r->items);
    free(r);
}

static int key_cmp(const struct object *o, enum kind_id kind, struct str ns, struct str name)
{
    if (o->kind->id != kind) {
        return o->kind->id < kind ? -1 : 1;
    }
    int c = str_cmp(o->ns, ns);
    return c != 0 ? c : str_cmp(o->name, name);
}

/* The first place whose key is not below the one asked for. */
static unsigned lower_bound(const struct refs *r, enum kind_id kind, struct str ns, struct str name, bool *found)
{
    unsigned lo = 0, hi = r->count;
    *found = false;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        int c = key_cmp(r->items[mid].object, kind, ns, name);
        if (c < 0) {
            lo = mid + 1;
        } else {
            *found = *found || c == 0;
            hi = mid;
        }
    }
    return lo;
}

bool refs_put(struct refs *r, const struct object *o)
{
    if (!o->kind->is_content) {
        return false;
    }
    bool found;
    unsigned at = lower_bound(r, o->kind->id, o->ns, o->name, &found);
    if (found) {
        struct ref *ref = &r->items[at];
        bool changed = ref->object->hash != o->hash || !str_eq(ref->object->uid, o->uid);
        ref->seen = true;
        struct object *old = ref->object;
        ref->object = object_ref(o);
        object_unref(old);
        return changed;
    }
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->items = xrealloc(r->items, r->cap * sizeof *r->items);
    }
    memmove(r->items + at + 1, r->items + at, (r->count - at) * sizeof *r->items);
    r->items[at] = (struct ref){object_ref(o), true};
    r->count++;
    return true;
}

static void remove_at(struct refs *r, unsigned at)
{
    assert(at < r->count);
    object_unref(r->items[at].object);
    memmove(r->items + at, r->items + at + 1, (r->count - at - 1) * sizeof *r->items);
    r->count--;
}

bool refs_delete(struct refs *r, enum kind_id kind, struct str ns, struct str name)
{
    bool found;
    unsigned at = lower_bound(r, kind, ns, name, &found);
    if (found) {
        remove_at(r, at);
    }
    return found;
}

const struct object *refs_get(const struct refs *r, enum kind_id kind, struct str ns, struct str name)
{
    bool found;
    unsigned at = lower_bound(r, kind, ns, name, &found);
    return found ? r->items[at].object : NULL;
}

const struct object *refs_next(const struct refs *r, enum kind_id kind, unsigned *cursor)
{
    while (*cursor < r->count) {
        const struct object *o = r->items[(*cursor)++].object;
        if (o->kind->id == kind) {
            return o;
        }
    }
    return NULL;
}

void refs_list_begin(struct refs *r)
{
    r->listing = true;
    for (unsigned i = 0; i < r->count; i++) {
        r->items[i].seen = false;
    }
}

void refs_list_end(struct refs *r, refs_dropped_cb *cb, void *data)
{
    if (r->listing) {
        for (unsigned i = 0; i < r->count;) {
            if (r->items[i].seen) {
                i++;
                continue;
            }
            struct object *o = object_ref(r->items[i].object);
            remove_at(r, i);
            if (cb != NULL) {
                cb(o, data);
            }
            object_unref(o);
        }
    }
    r->listing = false;
    r->synced = true;
}

void refs_assume_whole(struct refs *r)
{
    r->synced = true;
}

bool refs_synced(const struct refs *r)
{
    return r->synced;
}

unsigned refs_count(const struct refs *r)
{
    return r->count;
}
